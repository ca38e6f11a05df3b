"""Reductions: over all elements, or over the dimensions `dim`, kept with size 1 if `keepdim`.

NumPy's `axis` and `keepdims` are accepted for `dim` and `keepdim`. Sums are as exact as sums in pairs, and float16 is
added up in float32. Extremes and sorting are in extremes.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Tensor, op
from tinygrad_norm.backend import xp
from tinygrad_norm.checks.sizes import normalize_dim, normalize_dims
from tinygrad_norm.engine.tensor import wrap
from tinygrad_norm.ops.convert import clone, to
from tinygrad_norm.ops.elementwise import abs, pow, sign
from tinygrad_norm.ops.joining import cat, flip
from tinygrad_norm.ops.select import keep_where, where
from tinygrad_norm.ops.shape import _broadcast_to, in_own_shape, in_shape, move_to_front
from tinygrad_norm.ops.unary import zeros_of
from tinygrad_norm.sums import total
from tinygrad_norm.warn import warn

_SMALL = 2**12  # elements that are copied sooner than NumPy's broadcast_to makes a view
Dim = int | tuple[int, ...] | list[int] | None


def numpy_names(function: Callable) -> Callable:
    """Mark a function that takes NumPy's axis for dim and keepdims for keepdim: `checked` renames them."""
    function.takes_numpy_names = True  # type: ignore[attr-defined]
    return function


def axes_of(x: Any, dim: Any) -> tuple[int, ...]:
    """The dimensions to reduce, counted from 0; all of them for None and for ()."""
    ndim = len(x.shape) if x.__class__ is not Tensor else x.array.ndim
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        return tuple(range(ndim))
    return (dim % ndim,) if dim.__class__ is int and -ndim <= dim < ndim else normalize_dims(ndim, dim)


def expand_back(g: Any, shape: tuple[int, ...], axes: tuple[int, ...], keepdims: bool) -> Any:
    """The adjoint of summing: g repeated along the axes that were summed over."""
    if not keepdims and len(axes) < len(shape):
        g = g.reshape([1 if i in axes else n for i, n in enumerate(shape)])
    if isinstance(g, Tensor) or math.prod(shape) > _SMALL:
        return _broadcast_to(g, shape=shape)
    out = xp(g).empty(shape, g.dtype)
    out[...] = g
    return out


def count_of(shape: tuple[int, ...], axes: tuple[int, ...]) -> int:
    """How many elements are reduced to one."""
    return math.prod(shape) if len(axes) == len(shape) else math.prod([shape[i] for i in axes])


def wide(x: Any) -> Any:
    """float16 as float32, to compute in; other dtypes as they are."""
    return x.astype(np.float32) if x.dtype == dtypes.float16 else x


def divided(g: Any, count: int) -> Any:
    """g / count, where float16 may not hold the count."""
    return (g.astype(np.float32) / count).astype(g.dtype) if g.dtype == dtypes.float16 else g / count


def floating(name: str, input: Tensor, dtype: Any = None) -> Tensor:
    """The input in the dtype asked for. Raises RuntimeError unless that is floating point."""
    input = input if dtype is None else to(input, dtype=dtype)
    if input.array.dtype.kind != "f":
        raise RuntimeError(f"{name}: expected a floating point dtype, but got {input.dtype}: convert with .float()")
    return input


# ---- sums ---------------------------------------------------------------------------------


@op
def _sum(x, *, axes, keepdims):
    """The sum over the axes."""
    return total(x, axes, keepdims)


_sum.vjp(x=lambda g, x_shape, axes, keepdims: expand_back(g, x_shape, axes, keepdims))


@op
def _mean(x, *, axes, keepdims):
    """The sum over the axes, divided by how many there are."""
    numbers = x if x.dtype != dtypes.float16 else wide(x)
    return (total(numbers, axes, keepdims) / count_of(x.shape, axes)).astype(x.dtype)


_mean.vjp(x=lambda g, x_shape, axes, keepdims: expand_back(divided(g, count_of(x_shape, axes)), x_shape, axes, keepdims))


@numpy_names
def sum(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum. Integers and bools are summed as int64."""
    if dtype is not None:
        wanted = dtypes.of(dtype)
        if wanted.kind != "f":
            return to(sum(to(input, dtype=dtypes.int64), dim, keepdim), dtype=wanted)
        input = to(input, dtype=wanted)
    return _sum(input, axes=axes_of(input, dim), keepdims=bool(keepdim))


@numpy_names
def mean(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The mean; nan for no elements. Raises RuntimeError for integers: convert them first."""
    input = input if dtype is None else to(input, dtype=dtype)
    if input.array.dtype.kind != "f":
        raise RuntimeError(f"mean(): could not infer output dtype of {input.dtype}: convert with .float(), or give a dtype")
    axes = axes_of(input, dim)
    if not input.array.size and count_of(input.array.shape, axes) == 0:
        return sum(input, dim, keepdim) * math.nan
    return _mean(input, axes=axes, keepdims=bool(keepdim))


# ---- variance -----------------------------------------------------------------------------


@numpy_names
def var(
    input: Tensor, dim: Any = None, unbiased: bool = True, keepdim: bool = False, *, correction: float | None = None
) -> Tensor:
    """sum((x - mean(x))**2) / (n - correction), computed in float64; correction is 1 if unbiased, else 0."""
    return to(_variance("var", input, dim, unbiased, keepdim, correction), dtype=input.dtype)


@op
def _squares(x, *, axes, keepdims):
    """sum((x - mean(x))**2)."""
    c = x - (x.mean(axis=axes, keepdims=True) if x.size else 0)
    return (c * c).sum(axis=axes, keepdims=keepdims)


def _squares_vjp(g, x, x_shape, axes, keepdims):
    average = x.mean(axis=axes, keepdims=True) if math.prod(x_shape) else 0
    return expand_back(g, x_shape, axes, keepdims) * ((x - average) * 2)


_squares.vjp(x=_squares_vjp)


def _variance(name: str, input: Tensor, dim: Any, unbiased: bool, keepdim: bool, correction: float | None) -> Tensor:
    """The variance in float64: neither overflow nor underflow of a float32's square."""
    input = to(floating(name, input), dtype=dtypes.float64)
    if isinstance(dim, bool):
        unbiased, dim = dim, None
    correction = int(unbiased) if correction is None else correction
    axes = axes_of(input, dim)
    freedom = count_of(input.array.shape, axes) - correction
    squares = _squares(input, axes=axes, keepdims=bool(keepdim))
    if freedom <= 0:
        warn(f"{name}(): degrees of freedom is <= 0: correction should be less than the number of elements")
        return squares * where(squares > 0, math.inf, math.nan)
    return squares / freedom


@numpy_names
def std(
    input: Tensor, dim: Any = None, unbiased: bool = True, keepdim: bool = False, *, correction: float | None = None
) -> Tensor:
    """The square root of `var`; its derivative is 0 where it is 0."""
    return to(_root(_variance("std", input, dim, unbiased, keepdim, correction)), dtype=input.dtype)


@op
def _root(x):
    """The square root with derivative 0 at 0, where the true one is infinite."""
    return xp(x).sqrt(x)


_root.vjp(x=lambda g, out: where(out == 0, 0.0, g / (2 * where(out == 0, 1.0, out))))

# ---- norm ---------------------------------------------------------------------------------


@op
def _norm(x, *, p, axes):
    """(sum |x|**p)**(1/p) in float64, dimensions kept."""
    size: Any = abs(x).astype(np.float64)
    if math.isinf(p):
        return (size.max if p > 0 else size.min)(axis=axes, keepdims=True).astype(x.dtype)
    if p == 0:
        return (x != 0).sum(axis=axes, keepdims=True).astype(x.dtype)
    with np.errstate(divide="ignore"):
        found = (size**p).sum(axis=axes, keepdims=True) ** (1 / p)
    return found.astype(x.dtype)


def _norm_vjp(g, x, out, p, axes):
    """g * sign(x) * (|x| / out)**(p - 1), and 0 where |x| or the norm is 0; for inf, shared by the largest."""
    if p == 0:
        return zeros_of(x)
    if math.isinf(p):
        size = abs(x)
        at = (size == out) | ((x != x) & (out != out))
        share = g / at.sum(axis=axes, keepdims=True)
        return sign(x) * keep_where(share.astype(g.dtype), at)
    if p == 1:
        return g * sign(x)
    if p == 2:
        return g * where(out == 0, 0.0, x / where(out == 0, 1.0, out))
    whole = where(out == 0, 1.0, out)
    if p < 1:
        size = abs(where(x == 0, 1.0, x))
        return where((x == 0) | (out == 0), 0.0, sign(x) * pow(size, p - 1) * g * pow(whole, 1 - p))
    if p < 2:
        size = abs(where(x == 0, 1.0, x))
        return where(x == 0, 0.0, sign(x) * pow(size, p - 1)) * where(out == 0, 0.0, g / pow(whole, p - 1))
    return x * pow(abs(x), p - 2) * where(out == 0, 0.0, g / pow(whole, p - 1))


_norm.vjp(x=_norm_vjp)


@numpy_names
def norm(input: Tensor, p: float | str | None = "fro", dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """(sum |x|**p)**(1/p); the largest |x| for inf, the smallest for -inf; its derivative is 0 at 0."""
    input = floating("norm", input, dtype)
    if isinstance(p, str) and p not in ("fro", "inf", "-inf"):
        raise RuntimeError(f"norm: expected a number, 'fro', inf or -inf for p, but got {p!r}")
    power = 2.0 if p in ("fro", None) else float(p)
    axes = axes_of(input, dim)
    if math.isinf(power) and not count_of(input.array.shape, axes):
        raise RuntimeError("linalg.vector_norm cannot compute the infinity norm on an empty tensor: it has no identity")
    found = _norm(input, p=power, axes=axes)
    return found if keepdim else in_own_shape(found, tuple(n for i, n in enumerate(input.array.shape) if i not in axes))


# ---- cumsum and prod ----------------------------------------------------------------------


@op
def _cumsum(x, *, axis):
    """out[i] = x[0] + ... + x[i]."""
    if x.dtype.kind != "f":
        return x.cumsum(axis=axis, dtype=dtypes.int64)
    return x.cumsum(axis=axis, dtype=dtypes.float64).astype(x.dtype)


_cumsum.vjp(x=lambda g, axis: flip(_cumsum(flip(g, (axis,)), axis=axis), (axis,)))


@numpy_names
def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The sums of the first 1, 2, ... elements along dim, added up in float64."""
    input = input if dtype is None else to(input, dtype=dtype)
    axis = normalize_dim(input.ndim, dim)
    return _cumsum(input, axis=axis) if input.ndim else _sum(input, axes=(), keepdims=False)


@numpy_names
def prod(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The product, by halves: so the gradient is right where factors are 0, to any order. float16 in float32."""
    if dtype is not None:
        input = to(input, dtype=dtype)
    elif input.dtype.kind != "f":
        input = to(input, dtype=dtypes.int64)
    axes, shape = axes_of(input, dim), input.array.shape
    kept = tuple(1 if i in axes else n for i, n in enumerate(shape))
    factors = move_to_front(to(input, dtype=dtypes.float32) if input.dtype == dtypes.float16 else input, axes)
    factors = in_shape(factors, (count_of(shape, axes), *factors.array.shape[len(axes) :]))
    while (n := factors.array.shape[0]) > 1:
        half = n // 2
        product = factors[:half] * factors[half : 2 * half]
        factors = product if n % 2 == 0 else cat([product, factors[2 * half :]])
    result = to(clone(factors[0]) if n else _sum(factors, axes=(0,), keepdims=False) + 1, dtype=input.dtype)
    return in_own_shape(result, kept) if keepdim else result


# ---- any and all --------------------------------------------------------------------------


@numpy_names
def any(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Whether any element is true (not zero); of uint8 as uint8."""
    return _truth("any", input, dim, keepdim)


@numpy_names
def all(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Whether all elements are true (not zero); of uint8 as uint8."""
    return _truth("all", input, dim, keepdim)


def _truth(name: str, input: Tensor, dim: Dim, keepdim: bool) -> Tensor:
    if isinstance(dim, (tuple, list)) and not dim:  # unlike sums: nothing is reduced
        return to(input, dtype=dtypes.uint8 if input.dtype == dtypes.uint8 else dtypes.bool, copy=True)
    found = wrap(getattr(xp(input.array), name)(input.array, axis=axes_of(input, dim), keepdims=bool(keepdim)))
    return to(found, dtype=dtypes.uint8) if input.dtype == dtypes.uint8 else found
