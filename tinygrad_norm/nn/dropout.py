"""Dropout as modules; the functions are in nn/functional/dropout.py."""

from __future__ import annotations

from typing import Any

from tinygrad_norm.autograd import Tensor
from tinygrad_norm.nn import functional as F
from tinygrad_norm.nn.functional.dropout import check_probability
from tinygrad_norm.nn.module import Module


class Dropout(Module):
    """Each element dropped with probability p in training, the others divided by 1 - p; in evaluation the input itself."""

    function: Any = staticmethod(F.dropout)

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        check_probability(p)
        self.p, self.inplace = p, inplace

    def forward(self, input: Tensor) -> Tensor:
        """The input with elements dropped."""
        return type(self).function(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout1d(Dropout):
    """Each channel of (N, C, L) or (C, L) dropped as a whole with probability p in training."""

    function = staticmethod(F.dropout1d)


class Dropout2d(Dropout):
    """Each channel of (N, C, H, W) dropped as a whole with probability p in training."""

    function = staticmethod(F.dropout2d)


class Dropout3d(Dropout):
    """Each channel of (N, C, D, H, W) dropped as a whole with probability p in training."""

    function = staticmethod(F.dropout3d)


class AlphaDropout(Dropout):
    """Elements set to the negative saturation value of selu with probability p in training, mean and variance kept."""

    function = staticmethod(F.alpha_dropout)
