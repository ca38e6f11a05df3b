"""Sums over some dimensions, in float64: fast in any memory order.

A sum is a product with ones, which BLAS does faster than NumPy's own sum: along memory a dot product, across memory
a row of ones times a matrix. The products are short, in the precision of the array itself, and are added up in float64.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.backend import Array
from tinygrad_norm.kernels.gpu import on_gpu
from tinygrad_norm.kernels.scratch import memory_order, scratch

Axes = tuple[int, ...]
_LONGEST = 512  # elements of a sum in the precision of the array itself


def total(x: Array, axes: Axes, keepdims: bool = False) -> Array:
    """x.sum(axes) in x's dtype, with the error of a sum in pairs or smaller: NumPy adds up one by one across memory.

    float16 is added up in float32. Integers and bools are added up as int64.
    """
    if x.dtype.kind != "f":
        return x.sum(axis=axes, keepdims=keepdims, dtype=np.int64)
    if x.dtype == dtypes.float16:
        return x.sum(axis=axes, keepdims=keepdims, dtype=np.float32).astype(np.float16)
    if x.size > _LONGEST and x.dtype == dtypes.float32 and not on_gpu(x) and _adds_one_by_one(x, axes):
        wide = sums(x, axes)
        return (wide if keepdims else wide.reshape([n for a, n in enumerate(x.shape) if a not in axes])).astype(np.float32)
    return x.sum(axis=axes, keepdims=keepdims)


def sum_of_rows(x: Array) -> Array:
    """x.sum(0) of a matrix: for not too many rows a product with ones, which does not mind the order in memory."""
    if len(x) > 2048 or x.dtype.kind != "f" or x.__class__ is not np.ndarray:
        return total(x, (0,))
    return _ones(len(x), x.dtype) @ x


def _adds_one_by_one(x: np.ndarray, axes: Axes) -> bool:
    """Whether NumPy's own sum would not be in pairs, over many elements."""
    whole = len(axes) == x.ndim and (x.flags.c_contiguous or x.flags.f_contiguous)
    return not whole and math.prod(x.shape[a] for a in axes) > _LONGEST


def sums(x: np.ndarray, axes: Axes) -> np.ndarray:
    """x.sum(axes, keepdims=True), in float64."""
    form = _form(x, axes) if x.size else None
    if form is None:
        return x.sum(axis=axes, keepdims=True, dtype=np.float64)
    lines = form.lines(x)
    if lines.shape[3] == 1:
        return form.restored(_along_memory(lines[..., 0], None))
    return form.restored(_across_memory(lines))


def sums_with(a: np.ndarray, b: np.ndarray, axes: Axes) -> tuple[np.ndarray, np.ndarray]:
    """a.sum(axes, keepdims=True) and (a * b).sum(axes, keepdims=True), in float64."""
    form = _form(a, axes) if a.strides == b.strides and a.size else None
    if form is None:
        total = a.sum(axis=axes, keepdims=True, dtype=np.float64)
        return total, (a * b).sum(axis=axes, keepdims=True, dtype=np.float64)
    left = form.lines(a)
    right = left if a is b else form.lines(b)
    if left.shape[3] == 1:
        left, right = left[..., 0], right[..., 0]
        return form.restored(_along_memory(left, None)), form.restored(_along_memory(left, right))
    products = np.multiply(left, right, out=scratch(left, left.shape, "products"))
    return form.restored(_across_memory(left)), form.restored(_across_memory(products))


class _Form(NamedTuple):
    """An array seen in memory order, neighbouring dimensions of one kind as one: (summed, kept, summed, kept)."""

    order: Axes
    folded: tuple[int, int, int, int]
    kept: tuple[int, ...]
    back: Axes

    def lines(self, x: np.ndarray) -> np.ndarray:
        return x.transpose(self.order).reshape(self.folded)

    def restored(self, total: np.ndarray) -> np.ndarray:
        """The sums, (kept, kept), in x's dimensions with axes kept."""
        return total.reshape(self.kept).transpose(self.back)


def _form(x: np.ndarray, axes: Axes) -> _Form | None:
    """None where the dimensions alternate more often."""
    return _form_of(x.shape, x.strides, axes)


@functools.lru_cache(maxsize=4096)
def _form_of(shape: tuple[int, ...], strides: tuple[int, ...], axes: Axes) -> _Form | None:
    order, back = memory_order(shape, strides)
    folded, position = [1, 1, 1, 1], 3
    for axis in reversed(order):
        if shape[axis] == 1:
            continue
        while position >= 0 and (axis in axes) != (position % 2 == 0):
            position -= 1
        if position < 0:
            return None
        folded[position] *= shape[axis]
    kept = tuple(1 if a in axes else shape[a] for a in order)
    return _Form(order, tuple(folded), kept, back)  # type: ignore[arg-type]


def _along_memory(a: np.ndarray, b: np.ndarray | None) -> np.ndarray:
    """Sums over the first and last dimension of a, or of a * b: dot products of pieces."""
    length = a.shape[2]
    if length <= 2 * _LONGEST:
        return np.add.reduce(np.vecdot(a, _ones(length, a.dtype) if b is None else b), axis=0, dtype=np.float64)
    whole = length - length % _LONGEST
    rows = (*a.shape[:2], -1, _LONGEST)
    other = _ones(_LONGEST, a.dtype) if b is None else b[..., :whole].reshape(rows)
    total = np.vecdot(a[..., :whole].reshape(rows), other).sum(axis=(0, 2), dtype=np.float64)
    if whole == length:
        return total
    return total + _along_memory(a[..., whole:], None if b is None else b[..., whole:])


def _across_memory(x: np.ndarray) -> np.ndarray:
    """Sums over the first and third of four dimensions: rows added to rows."""
    length, run = x.shape[2:]
    piece = min(length, 128)
    whole = length - length % piece
    rows = x[:, :, :whole].reshape(*x.shape[:2], -1, piece, run)
    total = _ones(piece, x.dtype) @ rows if run <= 512 else rows.sum(axis=3)
    total = np.add.reduce(total, axis=(0, 2), dtype=np.float64)
    return total if whole == length else total + _across_memory(x[:, :, whole:])


@functools.lru_cache(maxsize=256)
def _ones(length: int, dtype: np.dtype) -> np.ndarray:
    return np.ones(length, dtype)
