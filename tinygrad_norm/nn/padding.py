"""Padding as modules: F.pad of the last two dimensions."""

from __future__ import annotations

from typing import Any

from tinygrad_norm.autograd import Tensor
from tinygrad_norm.checks.sizes import sizes_of
from tinygrad_norm.nn import functional as F
from tinygrad_norm.nn.module import Module


class _Pad2d(Module):
    """padding: one number for all sides, or (left, right, top, bottom)."""

    mode = "constant"

    def __init__(self, padding: Any) -> None:
        super().__init__()
        sides = tuple(padding) if isinstance(padding, (tuple, list)) else (padding,) * 4
        self.padding = sizes_of((), sides, "padding")
        if len(self.padding) != 4:
            raise ValueError(f"{type(self).__name__}: expected one number, or (left, right, top, bottom), but got {padding}")

    def forward(self, input: Tensor) -> Tensor:
        """The input with more elements around it."""
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        """The padding."""
        return f"{self.padding}"


class ZeroPad2d(_Pad2d):
    """Zeros around (N, C, H, W) or (C, H, W)."""


class ReplicationPad2d(_Pad2d):
    """The outermost elements again, around (N, C, H, W) or (C, H, W)."""

    mode = "replicate"


class ReflectionPad2d(_Pad2d):
    """What lies inside, mirrored without the edge, around (N, C, H, W) or (C, H, W)."""

    mode = "reflect"
