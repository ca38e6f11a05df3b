"""Less common functions, most of them a few of the others put together."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_norm.autograd import Tensor, op
from tinygrad_norm.backend import xp
from tinygrad_norm.checks.sizes import normalize_dim
from tinygrad_norm.engine.tensor import wrap
from tinygrad_norm.ops.convert import to
from tinygrad_norm.ops.elementwise import div, mul
from tinygrad_norm.ops.extremes import Extreme, argsort
from tinygrad_norm.ops.gathering import at_least_1d, take_along_dim
from tinygrad_norm.ops.joining import as_list, cat, narrow
from tinygrad_norm.ops.reduce import mean, numpy_names, std, var
from tinygrad_norm.ops.select import where
from tinygrad_norm.ops.shape import broadcast_to, reshape


def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """input + value * tensor1 * tensor2."""
    product = mul(tensor1, tensor2)
    return input + (product if value == 1 else product * value)


def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """input + value * tensor1 / tensor2. Raises RuntimeError for integers alone, whose quotients are no integers."""
    if {input.dtype.kind, tensor1.dtype.kind, tensor2.dtype.kind}.isdisjoint("f"):
        raise RuntimeError("addcdiv: integer division is not supported: convert with .float(), or use div() and add()")
    quotient = div(tensor1, tensor2)
    return input + (quotient if value == 1 else quotient * value)


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """The coordinates of a grid: of vectors of the sizes n, m, ... as many Tensors (n, m, ...), in which each runs along one
    dimension; indexing="xy": (m, n, ...), as plots want it.
    """
    vectors = [at_least_1d(t) for t in (tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors)]
    if indexing not in ("ij", "xy"):
        raise RuntimeError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    if wrong := [list(t.shape) for t in vectors if t.ndim != 1]:
        raise RuntimeError(f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {wrong[0]}")
    if not vectors:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    order = list(range(len(vectors)))
    if indexing == "xy":
        order[:2] = order[:2][::-1]
    sizes = [vectors[k].array.shape[0] for k in order]
    return tuple(
        broadcast_to(reshape(t, tuple(-1 if k == mine else 1 for k in order)), tuple(sizes)) for mine, t in enumerate(vectors)
    )


def vstack(tensors: Any) -> Tensor:
    """The tensors one below the other: vectors are rows."""
    return cat([reshape(t, (1, -1)) if t.ndim < 2 else t for t in as_list("vstack", tensors)], 0)


def hstack(tensors: Any) -> Tensor:
    """The tensors one beside the other: vectors are joined at their ends."""
    found = [at_least_1d(t) for t in as_list("hstack", tensors)]
    return cat(found, 0 if not found or found[0].ndim == 1 else 1)


@numpy_names
def cumprod(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """The products of the first 1, 2, ... elements along dim.

    In log2(n) steps, each of which multiplies by what stands 1, 2, 4, ... places before: right where factors are 0, to any
    order of derivatives.
    """
    wanted = dtype if dtype is not None or input.dtype.kind == "f" else "int64"
    axis, found, step = normalize_dim(input.ndim, dim), to(input, dtype=wanted), 1
    n = input.array.shape[axis] if input.ndim else 1
    while step < n:
        later = narrow(found, axis, step, n - step) * narrow(found, axis, 0, n - step)
        found, step = cat([narrow(found, axis, 0, step), later], axis), 2 * step
    return found * 1 if found is input else found


@op
def _median(x):
    """The middle element in order, the lower of two."""
    if not x.size:
        return xp(x).full((), math.nan, dtype=x.dtype)
    ordered = xp(x).sort(x.reshape(-1))  # nan last
    return ordered[-1] if bool(ordered[-1] != ordered[-1]) else ordered[(x.size - 1) // 2]


def _median_vjp(g, x, out):
    at = (x == out) | ((x != x) & (out != out))
    return where(at, g / at.sum(), 0.0)


_median.vjp(x=_median_vjp)


@numpy_names
def median(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The middle element in order, the lower of two; with a dim (values, indices). A nan, where there is one.

    Equal elements share the gradient of the median of all; along a dim it goes to the one at the index.
    """
    if dim is None:
        return _median(input)
    axis = normalize_dim(input.ndim, dim)
    if not input.ndim:
        return Extreme(input * 1, wrap(xp(input.array).zeros((), "int64")))
    n = input.array.shape[axis]
    if not n:
        raise IndexError(f"median(): Expected reduction dim {axis} to have non-zero size")
    order = argsort(input, axis)
    nan = (input != input).to("int64").argmax(axis, keepdim=True)  # 0 where there is none
    indices = where((input != input).any(axis, keepdim=True), nan, narrow(order, axis, (n - 1) // 2, 1))
    values = take_along_dim(input, indices, axis)
    return Extreme(values, indices) if keepdim else Extreme(values.squeeze(axis), indices.squeeze(axis))


@numpy_names
def var_mean(
    input: Tensor, dim: Any = None, unbiased: bool = True, keepdim: bool = False, *, correction: float | None = None
) -> tuple[Tensor, Tensor]:
    """(var, mean)."""
    over = None if isinstance(dim, bool) else dim
    return var(input, dim, unbiased, keepdim, correction=correction), mean(input, over, keepdim)


@numpy_names
def std_mean(
    input: Tensor, dim: Any = None, unbiased: bool = True, keepdim: bool = False, *, correction: float | None = None
) -> tuple[Tensor, Tensor]:
    """(std, mean)."""
    over = None if isinstance(dim, bool) else dim
    return std(input, dim, unbiased, keepdim, correction=correction), mean(input, over, keepdim)


def unique(
    input: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The different elements in order (with dim: the different slices); perhaps also which of them each element is, and how
    often each occurs. It has no gradient.
    """
    axis = None if dim is None else normalize_dim(input.ndim, dim)
    module = xp(input.array)
    options: dict[str, Any] = {} if module is not np else {"equal_nan": False}
    values, inverse, counts = module.unique(input.array, return_inverse=True, return_counts=True, axis=axis, **options)
    shape = input.array.shape if axis is None else (input.array.shape[axis],)
    asked = [values, *([inverse.reshape(shape)] if return_inverse else []), *([counts] if return_counts else [])]
    found = [wrap(v) for v in asked]
    return found[0] if len(found) == 1 else tuple(found)
