"""Activations as functions: the ops, with PyTorch's arguments."""

from __future__ import annotations

from typing import Any

from tinygrad_norm.autograd import Tensor
from tinygrad_norm.ops import elementwise, inplace, reduce
from tinygrad_norm.ops.elementwise import elu, gelu, leaky_relu, sigmoid, silu, softplus, tanh

__all__ = ["elu", "gelu", "leaky_relu", "log_softmax", "relu", "sigmoid", "silu", "softmax", "softplus", "tanh"]


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0), in x's memory if inplace; the derivative at 0 is 0."""
    return relu_(input) if inplace else elementwise.relu(input)


relu_ = inplace.relu_


def softmax(input: Tensor, dim: int | None = None, *, dtype: Any = None) -> Tensor:
    """e**x / sum(e**x) along dim."""
    return reduce.softmax(input, _last_or_first(input, dim), dtype=dtype)


def log_softmax(input: Tensor, dim: int | None = None, *, dtype: Any = None) -> Tensor:
    """log(softmax(x)) along dim, without overflow."""
    return reduce.log_softmax(input, _last_or_first(input, dim), dtype=dtype)


def _last_or_first(input: Tensor, dim: int | None) -> int:
    """PyTorch's choice where dim is not given: the first dimension of 0, 1 and 3, else the second."""
    if dim is not None:
        return dim
    return 0 if input.ndim in (0, 1, 3) else 1
