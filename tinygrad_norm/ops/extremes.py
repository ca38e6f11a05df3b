"""The largest and the smallest elements, where they stand, and sorting."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Tensor, op
from tinygrad_norm.backend import xp
from tinygrad_norm.checks.sizes import normalize_dim, sizes_of
from tinygrad_norm.engine.tensor import wrap
from tinygrad_norm.ops.gathering import at_least_1d, take_along_dim
from tinygrad_norm.ops.indexing import _getitem
from tinygrad_norm.ops.reduce import Dim, axes_of, count_of, expand_back, numpy_names
from tinygrad_norm.ops.select import keep_where, maximum, minimum, where

# ---- the extremes themselves --------------------------------------------------------------


def _extreme(name: str) -> Callable:
    @op
    def extreme(x, *, axes, keepdims):
        """The largest, or smallest, element over the axes."""
        return getattr(x, name)(axis=axes, keepdims=keepdims)

    def vjp(g, x, out, x_shape, axes, keepdims):
        """Equal extremes share the gradient. With a nan in the slice it is nan; of all elements at once, the nan share it."""
        out = expand_back(out, x_shape, axes, keepdims)
        at = x == out
        if len(axes) == len(x_shape):
            at = at | ((x != x) & (out != out))
        count = at.sum(axis=axes, keepdims=True).astype("float64")
        share = (expand_back(g, x_shape, axes, keepdims) / where(count == 0, 1.0, count)).astype(g.dtype)
        return where(count == 0, math.nan, keep_where(share, at)).astype(g.dtype)

    extreme.vjp(x=vjp)
    extreme.op.name = f"a{name}"
    return extreme


_amax, _amin = _extreme("max"), _extreme("min")


def _require_elements(x: Tensor, axes: tuple[int, ...], name: str, error: type[Exception] = IndexError) -> None:
    if count_of(x.array.shape, axes) == 0:
        raise error(f"{name}(): Expected reduction dim to have non-zero size, but got the shape {list(x.shape)}")


@numpy_names
def amax(input: Tensor, dim: Dim = (), keepdim: bool = False) -> Tensor:
    """The largest element; equal ones share the gradient equally."""
    return _over(input, dim, keepdim, _amax, "amax")


@numpy_names
def amin(input: Tensor, dim: Dim = (), keepdim: bool = False) -> Tensor:
    """The smallest element; equal ones share the gradient equally."""
    return _over(input, dim, keepdim, _amin, "amin")


def _over(input: Tensor, dim: Any, keepdim: bool, extreme: Callable, name: str) -> Tensor:
    axes = axes_of(input, dim)
    _require_elements(input, axes, name, RuntimeError if dim is None or (dim.__class__ is tuple and not dim) else IndexError)
    return extreme(input, axes=axes, keepdims=bool(keepdim))


class Extreme(NamedTuple):
    """What max, min, sort and topk return for a dim: the values and where they stand."""

    values: Tensor
    indices: Tensor


def _max_or_min(input: Tensor, dim: Any, keepdim: bool, other: Any, name: str) -> Any:
    if isinstance(dim, Tensor):
        dim, other = None, dim
    if other is not None:
        return (maximum if name == "max" else minimum)(input, other)
    if dim is None:
        _require_elements(input, axes_of(input, None), name, RuntimeError)
        return (_amax if name == "max" else _amin)(input, axes=axes_of(input, None), keepdims=False)
    indices = _where_extreme(f"arg{name}", input, dim, keepdim, allow_bool=True)
    if not input.array.ndim:
        return Extreme(input * 1, indices)
    axis = normalize_dim(input.array.ndim, dim)
    return Extreme(_along(input, at=indices.array.copy(), axis=axis, name=name, keepdims=bool(keepdim)), indices)


@op
def _along(x, *, at, axis, name, keepdims):
    """The largest, or smallest, elements along the axis, which stand `at` these places."""
    return getattr(x, name)(axis=axis, keepdims=keepdims)


@op
def _placed_along(g, *, at, axis, shape):
    """Zeros of the shape, with g at these places along the axis."""
    out = xp(g).zeros(shape, g.dtype)
    out[_grid_along(at, axis, shape)] = g.reshape(*shape[:axis], 1, *shape[axis + 1 :])
    return out


def _grid_along(at: Any, axis: int, shape: tuple[int, ...]) -> tuple:
    """The index of one place along the axis for each place in the others."""
    ndim, arange = len(shape), xp(at).arange
    grid = [arange(n).reshape((-1,) + (1,) * (ndim - d - 1)) for d, n in enumerate(shape)]
    grid[axis] = at.reshape(*shape[:axis], 1, *shape[axis + 1 :])
    return tuple(grid)


_along.vjp(x=lambda g, at, axis, x_shape: _placed_along(g, at=at, axis=axis, shape=x_shape))
_placed_along.vjp(g=lambda h, g_shape, at, axis, shape: _getitem(h, index=_grid_along(at, axis, shape)).reshape(g_shape))


@numpy_names
def max(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """max(x): the largest element; max(x, dim): (values, indices), the first of equal ones; max(x, y): maximum."""
    return _max_or_min(input, dim, keepdim, other, "max")


@numpy_names
def min(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """min(x): the smallest element; min(x, dim): (values, indices), the first of equal ones; min(x, y): minimum."""
    return _max_or_min(input, dim, keepdim, other, "min")


# ---- where they stand ---------------------------------------------------------------------


def _where_extreme(name: str, input: Tensor, dim: Any, keepdim: bool, allow_bool: bool = False) -> Tensor:
    array = input.array
    axis = None if dim is None else normalize_dim(array.ndim, dim)
    if not array.size:
        _require_elements(input, axes_of(input, dim), name)
    if array.dtype.kind == "b" and allow_bool is False:
        raise RuntimeError(f"{name}(): does not support bool input: convert with .int()")
    found = getattr(array, name)(axis=axis if array.ndim else None)
    found = xp(array).asarray(found, dtypes.int64)
    if keepdim and array.ndim:
        found = found.reshape([1 if axis in (None, d) else n for d, n in enumerate(array.shape)])
    return wrap(found)


@numpy_names
def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the largest element stands, the first of equal ones; in the flattened tensor without dim."""
    return _where_extreme("argmax", input, dim, keepdim)


@numpy_names
def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Where the smallest element stands, the first of equal ones; in the flattened tensor without dim."""
    return _where_extreme("argmin", input, dim, keepdim)


# ---- sorting ------------------------------------------------------------------------------


def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The indices that sort the tensor along dim; equal elements keep their order, nan counts as the largest."""
    axis, array = normalize_dim(input.ndim, dim), at_least_1d(input).array
    if array.dtype.kind == "b":
        array = array.astype(dtypes.uint8)
    module = xp(array)
    if descending:  # backwards twice, so that equal elements keep their order
        found = array.shape[axis] - 1 - module.flip(module.argsort(module.flip(array, axis), axis=axis, kind="stable"), axis)
    else:
        found = module.argsort(array, axis=axis, kind="stable")
    return wrap(found.astype(dtypes.int64).reshape(input.array.shape))


def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Extreme:
    """The elements in order along dim, and where they stood: (values, indices). Equal elements keep their order."""
    indices = argsort(input, dim, descending, stable)
    return Extreme(take_along_dim(input, indices, dim), indices)


def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Extreme:
    """The k largest (or smallest) elements along dim, in order, and where they stood: (values, indices)."""
    axis, (k,) = normalize_dim(input.ndim, dim), sizes_of((k,), None, "k")
    if input.dtype.kind == "b":
        raise RuntimeError("topk does not support bool dtypes: convert with .int()")
    size = input.array.shape[axis] if input.ndim else 1
    if not 0 <= k <= size:
        raise RuntimeError(f"selected index k out of range: k={k}, and dimension {axis} has {size} elements")
    indices = argsort(input, axis if input.ndim else 0, descending=largest)
    if input.ndim:
        indices = indices[(slice(None),) * axis + (slice(0, k),)].clone()
    return Extreme(take_along_dim(input, indices, dim), indices)
