"""Dropout as modules; the functions are in nn/functional/dropout.py."""

from __future__ import annotations

from tinygrad_norm.nn import functional as F
from tinygrad_norm.nn.derived import Derived


class Dropout(Derived, of=F.dropout):
    """Each element dropped with probability p in training, the others divided by 1 - p; in evaluation the input itself."""

    def extra_repr(self) -> str:
        """The settings."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout1d(Dropout, of=F.dropout1d):
    """Each channel of (N, C, L) or (C, L) dropped as a whole with probability p in training."""


class Dropout2d(Dropout, of=F.dropout2d):
    """Each channel of (N, C, H, W) dropped as a whole with probability p in training."""


class Dropout3d(Dropout, of=F.dropout3d):
    """Each channel of (N, C, D, H, W) dropped as a whole with probability p in training."""


class AlphaDropout(Dropout, of=F.alpha_dropout):
    """Elements set to the negative saturation value of selu with probability p in training, mean and variance kept."""
