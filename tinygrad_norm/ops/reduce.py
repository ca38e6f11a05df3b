"""Reductions: over all elements, or over the dimensions `dim`, kept with size 1 if `keepdim`.

NumPy's `axis` and `keepdims` are accepted for `dim` and `keepdim`.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Tensor, op, wrap
from tinygrad_norm.backend import xp
from tinygrad_norm.ops.convert import to
from tinygrad_norm.ops.elementwise import abs, exp, maximum, minimum, ne, square, where
from tinygrad_norm.ops.indexing import take_along_dim
from tinygrad_norm.ops.shape import broadcast_to, cat, flip, move_to_front, normalize_dims

Dim = int | tuple[int, ...] | list[int] | None


def _numpy_names(function: Callable) -> Callable:
    """Accept axis for dim and keepdims for keepdim."""

    @functools.wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        if "axis" in kwargs:
            kwargs["dim"] = kwargs.pop("axis")
        if "keepdims" in kwargs:
            kwargs["keepdim"] = kwargs.pop("keepdims")
        return function(*args, **kwargs)

    return inner


def _axes(x: Any, dim: Dim) -> tuple[int, ...]:
    """The dimensions to reduce, counted from 0; all of them for None and for ()."""
    if dim is None or dim == () or dim == []:
        return tuple(range(x.ndim))
    return normalize_dims(x.ndim, dim)


def _spread(g, shape, axes, keepdims):
    """The adjoint of summing: g repeated along the axes that were summed over."""
    if not keepdims:
        g = g.reshape(tuple(1 if i in axes else n for i, n in enumerate(shape)))
    return broadcast_to(g, shape)


def _count(shape: tuple[int, ...], axes: tuple[int, ...]) -> int:
    return math.prod(shape[i] for i in axes)


# ---- sums ---------------------------------------------------------------------------------


@op
def _sum(x, *, axes, keepdims):
    return x.sum(axis=axes, keepdims=keepdims, dtype=None if x.dtype.kind == "f" else dtypes.int64)


_sum.vjp(x=lambda g, x_shape, axes, keepdims: _spread(g, x_shape, axes, keepdims))


@op
def _mean(x, *, axes, keepdims):
    return x.mean(axis=axes, keepdims=keepdims)


_mean.vjp(x=lambda g, x_shape, axes, keepdims: _spread(g / _count(x_shape, axes), x_shape, axes, keepdims))


@_numpy_names
def sum(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum. Integers and bools are summed as int64."""
    input = input if dtype is None else input.to(dtype)
    return _sum(input, axes=_axes(input, dim), keepdims=keepdim)


@_numpy_names
def mean(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean; nan for no elements. Raises RuntimeError for integers: convert them first."""
    input = input if dtype is None else input.to(dtype)
    if input.dtype.kind != "f":
        raise RuntimeError(
            "mean(): could not infer output dtype. Input dtype must be a floating point dtype, "
            f"but got {input.dtype}: convert with .float()"
        )
    axes = _axes(input, dim)
    if _count(input.array.shape, axes) == 0:
        return sum(input, dim, keepdim) * math.nan
    return _mean(input, axes=axes, keepdims=keepdim)


@_numpy_names
def var(
    input: Tensor, dim: Dim | bool = None, unbiased: bool = True, keepdim: bool = False, *, correction: float | None = None
) -> Tensor:
    """sum((x - mean(x))**2) / (n - correction), computed in float64; correction is 1 if unbiased, else 0."""
    return to(_variance(input, dim, unbiased, keepdim, correction), dtype=input.dtype)


def _variance(input: Tensor, dim: Dim | bool, unbiased: bool, keepdim: bool, correction: float | None) -> Tensor:
    """The variance in float64: neither overflow nor underflow of a float32's square."""
    if input.dtype.kind == "f":
        input = to(input, dtype=dtypes.float64)
    if isinstance(dim, bool):
        unbiased, dim = dim, None
    correction = int(unbiased) if correction is None else correction
    axes = _axes(input, dim)
    freedom = _count(input.array.shape, axes) - correction
    squares = sum(square(input - mean(input, axes, True)), axes, keepdim) if axes else square(input - input)
    if freedom <= 0:
        warnings.warn(
            "var(): degrees of freedom is <= 0. Correction should be strictly less than the reduction factor "
            "(input numel divided by output numel)",
            stacklevel=4,
        )
        return squares * where(squares > 0, math.inf, math.nan)
    return squares / freedom


@_numpy_names
def std(
    input: Tensor, dim: Dim | bool = None, unbiased: bool = True, keepdim: bool = False, *, correction: float | None = None
) -> Tensor:
    """The square root of `var`; its derivative is 0 where it is 0."""
    return to(_root(_variance(input, dim, unbiased, keepdim, correction)), dtype=input.dtype)


@op
def _root(x):
    """The square root with derivative 0 at 0, where the true one is infinite."""
    return xp(x).sqrt(x)


_root.vjp(x=lambda g, out: where(out == 0, 0.0, g / (2 * where(out == 0, 1.0, out))))


@_numpy_names
def norm(input: Tensor, p: float | str = "fro", dim: Dim = None, keepdim: bool = False) -> Tensor:
    """(sum |x|**p)**(1/p); the largest |x| for inf, the smallest for -inf; its derivative is 0 at 0."""
    axes = _axes(input, dim)
    if p in ("fro", 2):
        return _root(sum(square(input), axes, keepdim))
    if p == math.inf:
        return amax(abs(input), axes, keepdim)
    if p == -math.inf:
        return amin(abs(input), axes, keepdim)
    if isinstance(p, str):
        raise RuntimeError(f"norm: expected a number, 'fro', inf or -inf for p, but got {p!r}")
    if p == 0:
        return sum(ne(input, 0).to(input.dtype), axes, keepdim)
    if p == 1:
        return sum(abs(input), axes, keepdim)
    total = sum(abs(input) ** p, axes, keepdim)
    zero = total == 0
    return where(zero, 0.0, where(zero, 1.0, total) ** (1 / p))


@op
def _cumsum(x, *, axis):
    return x.cumsum(axis=axis, dtype=None if x.dtype.kind == "f" else dtypes.int64)


_cumsum.vjp(x=lambda g, axis: flip(_cumsum(flip(g, (axis,)), axis=axis), (axis,)))


@_numpy_names
def cumsum(input: Tensor, dim: int) -> Tensor:
    """The sums of the first 1, 2, ... elements along dim."""
    (axis,) = normalize_dims(input.ndim, dim)
    return _cumsum(input, axis=axis) if input.ndim else sum(input)


@_numpy_names
def prod(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The product, by halves: so the gradient is right where factors are 0, to any order."""
    if input.dtype.kind != "f":
        input = input.to(dtypes.int64)
    axes = _axes(input, dim)
    kept = tuple(1 if i in axes else n for i, n in enumerate(input.array.shape))
    factors = move_to_front(input, axes)
    factors = factors.reshape((_count(input.array.shape, axes), *factors.array.shape[len(axes) :]))
    while (n := factors.array.shape[0]) > 1:
        half = n // 2
        product = factors[:half] * factors[half : 2 * half]
        factors = product if n % 2 == 0 else cat([product, factors[2 * half :]])
    result = factors[0] if n else sum(factors, 0) + 1
    return result.reshape(kept) if keepdim else result


# ---- extremes -----------------------------------------------------------------------------


def _extreme(name: str) -> Callable:
    @op
    def extreme(x, *, axes, keepdims):
        return getattr(x, name)(axis=axes, keepdims=keepdims)

    def vjp(g, x, out, x_shape, axes, keepdims):
        """Equal extremes share the gradient equally."""
        at = x == _spread(out, x_shape, axes, keepdims)
        share = g / at.sum(axis=axes, keepdims=keepdims).astype(g.dtype)
        return _spread(share, x_shape, axes, keepdims) * at

    extreme.vjp(x=vjp)
    extreme.op.name = f"a{name}"
    return extreme


_amax, _amin = _extreme("max"), _extreme("min")


def _nonempty(x: Any, axes: tuple[int, ...], name: str) -> None:
    if _count(x.array.shape, axes) == 0:
        raise IndexError(f"{name}(): expected at least one element to reduce, but got the shape {list(x.shape)}")


@_numpy_names
def amax(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The largest element; equal ones share the gradient equally."""
    axes = _axes(input, dim)
    _nonempty(input, axes, "amax")
    return _amax(input, axes=axes, keepdims=keepdim)


@_numpy_names
def amin(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The smallest element; equal ones share the gradient equally."""
    axes = _axes(input, dim)
    _nonempty(input, axes, "amin")
    return _amin(input, axes=axes, keepdims=keepdim)


class Extreme(NamedTuple):
    """What max and min return for a dim: the values and where they stand."""

    values: Tensor
    indices: Tensor


def _max_or_min(input: Tensor, dim: Any, keepdim: bool, other: Any, over_all: Any, pairwise: Any, where_: Any) -> Any:
    if isinstance(dim, Tensor):
        dim, other = None, dim
    if other is not None:
        return pairwise(input, other)
    if dim is None:
        return over_all(input)
    indices = where_(input, dim, True)
    values = take_along_dim(input, indices, dim) if input.ndim else input
    if not keepdim and input.ndim:
        values, indices = values.squeeze(dim), indices.squeeze(dim)
    return Extreme(values, indices)


@_numpy_names
def max(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """max(x): the largest element; max(x, dim): (values, indices), the first of equal ones; max(x, y): maximum."""
    return _max_or_min(input, dim, keepdim, other, amax, maximum, argmax)


@_numpy_names
def min(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """min(x): the smallest element; min(x, dim): (values, indices), the first of equal ones; min(x, y): minimum."""
    return _max_or_min(input, dim, keepdim, other, amin, minimum, argmin)


def _arg(name: str, input: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    _nonempty(input, _axes(input, dim), name)
    if dim is not None:
        (dim,) = normalize_dims(input.ndim, dim)
    found = getattr(xp(input.array), name)(input.array, axis=dim if input.ndim else None)
    found = xp(input.array).asarray(found).astype(dtypes.int64, copy=False)
    if keepdim and input.ndim:
        found = found.reshape((1,) * input.ndim) if dim is None else xp(found).expand_dims(found, dim)
    return wrap(found)


@_numpy_names
def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the largest element stands, the first of equal ones; in the flattened tensor without dim."""
    return _arg("argmax", input, dim, keepdim)


@_numpy_names
def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the smallest element stands, the first of equal ones; in the flattened tensor without dim."""
    return _arg("argmin", input, dim, keepdim)


@_numpy_names
def any(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Whether any element is true (not zero)."""
    return wrap(xp(input.array).any(input.array, axis=_axes(input, dim), keepdims=keepdim))


@_numpy_names
def all(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Whether all elements are true (not zero)."""
    return wrap(xp(input.array).all(input.array, axis=_axes(input, dim), keepdims=keepdim))


# ---- sums of exponentials -----------------------------------------------------------------


@op
def _logsumexp(x, *, axes, keepdims):
    largest = x.max(axis=axes, keepdims=True)
    largest = xp(x).where(xp(x).isfinite(largest), largest, 0)
    total = xp(x).log(xp(x).exp(x - largest).sum(axis=axes, keepdims=True)) + largest
    return total if keepdims else total.reshape(tuple(n for i, n in enumerate(x.shape) if i not in axes))


_logsumexp.vjp(
    x=lambda g, x, out, x_shape, axes, keepdims: (
        _spread(g, x_shape, axes, keepdims) * exp(x - _spread(out, x_shape, axes, keepdims))
    )
)


@_numpy_names
def logsumexp(input: Tensor, dim: Dim, keepdim: bool = False) -> Tensor:
    """log(sum(e**x)), without overflow."""
    input = input if input.dtype.kind == "f" else input.float()
    axes = _axes(input, dim)
    return _logsumexp(input, axes=axes, keepdims=keepdim) if axes else input


@op
def _softmax(x, *, axis):
    out = xp(x).exp(x - x.max(axis=axis, keepdims=True))
    out /= out.sum(axis=axis, keepdims=True)
    return out


_softmax.vjp(x=lambda g, out, axis: out * (g - (g * out).sum(axis=axis, keepdims=True)))


@op
def _log_softmax(x, *, axis):
    shifted = x - x.max(axis=axis, keepdims=True)
    return shifted - xp(x).log(xp(x).exp(shifted).sum(axis=axis, keepdims=True))


_log_softmax.vjp(x=lambda g, out, axis: g - exp(out) * g.sum(axis=axis, keepdims=True))


def _floating(name: str, input: Tensor) -> Tensor:
    if input.dtype.kind != "f":
        raise RuntimeError(f"{name}: expected a floating point dtype, but got {input.dtype}: convert with .float()")
    return input


@_numpy_names
def softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """e**x / sum(e**x) along dim."""
    input = _floating("softmax", input if dtype is None else input.to(dtype))
    (axis,) = normalize_dims(input.ndim, dim)
    return _softmax(input, axis=axis) if input.ndim else input * 0 + 1


@_numpy_names
def log_softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """X - log(sum(e**x)) along dim: the logarithm of softmax, without overflow."""
    input = _floating("log_softmax", input if dtype is None else input.to(dtype))
    (axis,) = normalize_dims(input.ndim, dim)
    return _log_softmax(input, axis=axis) if input.ndim else input * 0
