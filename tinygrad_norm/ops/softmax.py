"""Sums of exponentials: logsumexp, softmax and its logarithm, without overflow."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Tensor, op
from tinygrad_norm.backend import xp
from tinygrad_norm.checks.sizes import normalize_dim
from tinygrad_norm.engine.broadcasting import sum_over
from tinygrad_norm.fast import replaceable
from tinygrad_norm.ops.convert import to
from tinygrad_norm.ops.reduce import Dim, axes_of, expand_back, floating, numpy_names, wide
from tinygrad_norm.ops.shape import in_own_shape, in_shape
from tinygrad_norm.ops.unary import exp
from tinygrad_norm.sums import total

# ---- sums of exponentials -----------------------------------------------------------------


@op
def _logsumexp(x, *, axes, keepdims):
    """log(sum of e**x along the axes), with the largest taken off first."""
    given = wide(x)
    largest = given.max(axis=axes, keepdims=True) if given.size else given.sum(axis=axes, keepdims=True)
    largest = xp(x).where(xp(x).isfinite(largest), largest, 0)
    with np.errstate(divide="ignore"):
        found = xp(x).log(total(xp(x).exp(given - largest), axes, True)) + largest
    found = found if keepdims else found.reshape(tuple(n for i, n in enumerate(x.shape) if i not in axes))
    return found.astype(x.dtype)


_logsumexp.vjp(
    x=lambda g, x, out, x_shape, axes, keepdims: (
        expand_back(g, x_shape, axes, keepdims) * exp(x - expand_back(out, x_shape, axes, keepdims))
    )
)


@numpy_names
def logsumexp(input: Tensor, dim: Dim, keepdim: bool = False) -> Tensor:
    """log(sum(e**x)), without overflow; -inf for no elements."""
    input = input if input.dtype.kind == "f" else to(input, dtype=dtypes.DEFAULT)
    return _logsumexp(input, axes=axes_of(input, dim), keepdims=bool(keepdim))


@replaceable
def exponentials_of(x, axis):
    """The largest element along the axis, exp(x - largest), so that none overflows, and their sum; the dimension is kept."""
    largest = x.max(axis=axis, keepdims=True) if x.shape[axis] else x.sum(axis=axis, keepdims=True)  # of nothing, anything
    exponentials = xp(x).exp(x - largest)
    return largest, exponentials, total(exponentials, (axis,), True)


@op
def _softmax(x, *, axis):
    """e**x / sum of e**x along the axis."""
    _, exponentials, totals = exponentials_of(wide(x), axis)
    exponentials /= totals
    return exponentials.astype(x.dtype, copy=False)


_softmax.vjp(x=lambda g, out, axis: out * (g - sum_over(g * out, (axis,))))


@op
def _log_softmax(x, *, axis):
    """x - log(sum of e**x along the axis)."""
    given = wide(x)
    largest, _, totals = exponentials_of(given, axis)
    with np.errstate(divide="ignore"):  # the logarithm of no exponentials
        return (given - largest - xp(x).log(totals)).astype(x.dtype, copy=False)


_log_softmax.vjp(x=lambda g, out, axis: g - exp(out) * sum_over(g, (axis,)))


@numpy_names
def softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """e**x / sum(e**x) along dim."""
    input = floating("softmax", input, dtype)
    axis = normalize_dim(input.array.ndim, dim)
    return _softmax(input, axis=axis) if input.array.ndim else in_own_shape(_softmax(in_shape(input, (1,)), axis=0), ())


@numpy_names
def log_softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """x - log(sum(e**x)) along dim: the logarithm of softmax, without overflow."""
    input = floating("log_softmax", input, dtype)
    axis = normalize_dim(input.array.ndim, dim)
    return _log_softmax(input, axis=axis) if input.array.ndim else in_own_shape(_log_softmax(in_shape(input, (1,)), axis=0), ())
