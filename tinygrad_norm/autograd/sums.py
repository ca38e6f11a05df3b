"""Sums of arrays, added up in a precision that holds them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.autograd.tensor import Tensor
from tinygrad_norm.fast import textbook

_FEW = 512  # so many numbers may be added one by one


@textbook
def total(x, axes, keepdims=False):
    """x.sum(axes) in x's dtype: float16 is added up in float32, integers and bools as int64.

    NumPy adds in pairs along memory, but one by one across it; many float32 are then added up in float64.
    """
    if x.dtype == dtypes.float32 and x.size > _FEW and adds_one_by_one(x, axes):
        return x.sum(axis=axes, keepdims=keepdims, dtype=np.float64).astype(np.float32)
    if x.dtype == dtypes.float16:
        return x.sum(axis=axes, keepdims=keepdims, dtype=np.float32).astype(np.float16)
    if x.dtype.kind != "f":
        return x.sum(axis=axes, keepdims=keepdims, dtype=np.int64)
    return x.sum(axis=axes, keepdims=keepdims)


def adds_one_by_one(x: Any, axes: tuple[int, ...]) -> bool:
    """Whether NumPy's own sum would not be in pairs, over many elements."""
    if not isinstance(x, np.ndarray):
        return False
    whole = len(axes) == x.ndim and (x.flags.c_contiguous or x.flags.f_contiguous)
    return not whole and math.prod([x.shape[a] for a in axes]) > _FEW


def sum_over(g: Any, axes: tuple[int, ...]) -> Any:
    """The sum over the axes, kept with size 1, of an array or of a Tensor."""
    return g.sum(axes, True) if isinstance(g, Tensor) else total(g, axes, True)


def sum_to(g: Any, shape: tuple[int, ...]) -> Any:
    """g, summed over the dimensions along which `shape` was broadcast to g's shape."""
    axes = broadcast_axes(shape, g.shape)
    return sum_over(g, axes).reshape(shape) if axes else g


def broadcast_axes(shape: tuple[int, ...], wide: tuple[int, ...]) -> tuple[int, ...]:
    """The dimensions of `wide` along which `shape` was broadcast to it."""
    lead = len(wide) - len(shape)
    return tuple([i for i, n in enumerate(wide) if i < lead or (shape[i - lead] == 1 and n != 1)])
