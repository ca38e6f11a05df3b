"""Normalisation on raw arrays: moments that stay exact far from zero, and few passes over memory.

The mean is taken twice: c = x - mean(x) first, and then the mean of c, which is what rounding left of the
first, is taken off as well. So a mean of 1e7 beside a standard deviation of 1 does no harm in float32.
Sums run along contiguous memory as products with ones, which BLAS does fastest, in pieces; the pieces are
added up in float64. All that is per group of elements (means, variances, coefficients) is float64.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from tinygrad_norm.backend import Array, xp
from tinygrad_norm.kernels.scratch import memory_order, scratch_like

Axes = tuple[int, ...]
_PIECE = 4096  # the longest sum in the precision of the array itself


class Moments(NamedTuple):
    """Per group, with axes kept: what to take off x (in two parts), the variance, 1 / sqrt(variance + eps)."""

    mean: Array
    shift: Array | None
    variance: Array
    rstd: Array


def normalize(x: Array, weight: Array | None, bias: Array | None, axes: Axes, eps: float) -> tuple[Array, Moments]:
    """Y = (x - E[x]) / sqrt(Var[x] + eps) * weight + bias in one new array, and the moments.

    E and Var run over `axes`; weight and bias broadcast to x. float16 is computed in float32.
    """
    y, moments = _centred(x, axes, eps)
    if weight is not None and _inner(weight, axes):
        y *= (moments.rstd * weight).astype(y.dtype)
    else:
        y *= moments.rstd.astype(y.dtype)
        if weight is not None:
            y *= weight
    if bias is not None:
        y += bias
    return y.astype(x.dtype, copy=False), moments


def gradients(
    g: Array, x: Array, weight: Array | None, moments: Moments, axes: Axes, needs: tuple[bool, ...]
) -> tuple[Array | None, Array | None, Array | None]:
    """The gradients of x, weight and bias, given that of y.

    With gy = g * weight and x_hat = (x - mean) * rstd:

        gx = rstd * (gy - mean(gy) - x_hat * mean(gy * x_hat)),  means over `axes`;
        gweight = sum(g * x_hat), gbias = sum(g), over the axes that weight and bias were broadcast along.
    """
    wide = g.astype(np.float32) if g.dtype == np.float16 else g
    c = _subtracted(x, moments)
    count = _count(x.shape, axes)
    gx: Array = None
    gweight: Array = None
    gbias: Array = None
    affine = tuple(i for i in range(x.ndim) if weight is None or weight.shape[i] == 1)
    inner = axes if weight is None else _inner(weight, axes)
    if inner:  # sums over these are few numbers, from which all the others follow
        sum_g, sum_gc = sums(wide, inner), sums_of_products(wide, c, inner)
        scale = moments.rstd if weight is None else moments.rstd * weight
        if needs[1] or needs[2]:
            rest = tuple(a for a in affine if a not in inner)
            gweight, gbias = (v.sum(axis=rest, keepdims=True) for v in (sum_gc * moments.rstd, sum_g))
        if weight is not None:
            rest = tuple(a for a in axes if a not in inner)
            sum_g, sum_gc = ((v * weight).sum(axis=rest, keepdims=True) for v in (sum_g, sum_gc))
    else:  # a weight per element, as layer norm has
        scale, work = moments.rstd, scratch_like(c, "norm")
        if needs[1] or needs[2]:
            xp(c).multiply(c, moments.rstd.astype(c.dtype), out=work)
            work *= wide
            gweight, gbias = sums(work, affine), sums(wide, affine)
        wide = xp(c).multiply(wide, weight, out=work)
        sum_g, sum_gc = sums(wide, axes), sums_of_products(wide, c, axes)
    if needs[0]:
        c *= (-(moments.rstd**3) * (sum_gc / count)).astype(c.dtype)
        c -= (moments.rstd * (sum_g / count)).astype(c.dtype)
        c += xp(c).multiply(wide, scale.astype(c.dtype), out=scratch_like(c, "norm"))
        gx = c.astype(x.dtype, copy=False)
    return gx, gweight.astype(x.dtype) if needs[1] else None, gbias.astype(x.dtype) if needs[2] else None


# ---- moments ------------------------------------------------------------------------------


def _centred(x: Array, axes: Axes, eps: float) -> tuple[Array, Moments]:
    """X - E[x] in a new array, and the moments."""
    count = _count(x.shape, axes)
    mean = (sums(x, axes) / count).astype(np.float32 if x.dtype == np.float16 else x.dtype)
    c = x - mean
    rest = sums(c, axes) / count
    variance = sums_of_products(c, c, axes) / count
    shift = None
    if _matters(rest, variance, c.dtype):
        shift = rest.astype(c.dtype)
        c -= shift
        variance = sums_of_products(c, c, axes) / count
    if not isinstance(variance, np.ndarray) or not np.isfinite(variance).all():  # squares too large for c's dtype
        largest = abs(c).max(axis=axes, keepdims=True)
        unit = xp(x).where((largest > 1) & (largest < math.inf), largest, 1)
        scaled = c / unit
        variance = sums_of_products(scaled, scaled, axes) / count * unit.astype(np.float64) ** 2
    return c, Moments(mean, shift, variance, 1 / xp(x).sqrt(variance + eps))


def _matters(rest: Array, variance: Array, dtype: Any) -> bool:
    """Whether the mean that is left changes the result; on a GPU it is not worth waiting for the answer."""
    if not isinstance(rest, np.ndarray):
        return True
    return bool((rest * rest > (np.finfo(dtype).eps / 4) ** 2 * variance).any())


def _subtracted(x: Array, moments: Moments) -> Array:
    """X - E[x] again, in a new array."""
    c = x - moments.mean
    if moments.shift is not None:
        c -= moments.shift
    return c


def _inner(weight: Array, axes: Axes) -> Axes:
    """The axes along which the weight does not change: all of them, or none for a weight per element."""
    return tuple(a for a in axes if weight.shape[a] == 1)


def _count(shape: tuple[int, ...], axes: Axes) -> int:
    return math.prod(shape[a] for a in axes)


# ---- sums ---------------------------------------------------------------------------------


def sums(x: Array, axes: Axes) -> Array:
    """x.sum(axes, keepdims=True), in float64."""
    if not isinstance(x, np.ndarray) or x.dtype != np.float32 or not x.size:
        return x.sum(axis=axes, keepdims=True, dtype=np.float64)
    order = memory_order(x)
    if set(order[: len(axes)]) == set(axes) and x.transpose(order).flags.c_contiguous:
        return _sum_of_rows(x, order, axes)
    if (plan := _runs(x, axes)) is not None:
        order, run = plan
        rows = x.transpose(order).reshape(-1, 1, run)  # one small product each: BLAS starts no threads for them
        pieces = rows @ np.ones((run, 1), x.dtype)
        return _collected(pieces, x, order, run, axes)
    return x.sum(axis=axes, keepdims=True, dtype=np.float64)


def sums_of_products(a: Array, b: Array, axes: Axes) -> Array:
    """(a * b).sum(axes, keepdims=True), in float64."""
    plan = None
    if isinstance(a, np.ndarray) and a.dtype == b.dtype == np.float32 and a.size and a.strides == b.strides:
        plan = _runs(a, axes)
    with np.errstate(over="ignore", invalid="ignore"):  # the caller looks at what is not finite
        if plan is None:
            return sums(a * b, axes)
        order, run = plan
        left, right = (v.transpose(order).reshape(-1, run) for v in (a, b))
        pieces = (left[:, None] @ right[:, :, None]).reshape(-1)
    return _collected(pieces, a, order, run, axes)


def _sum_of_rows(x: np.ndarray, order: Axes, axes: Axes) -> np.ndarray:
    """The sum over the slowest dimensions: rows added to rows, a few hundred at a time in x's own precision."""
    kept = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    rows = x.transpose(order).reshape(_count(x.shape, axes), -1)
    total = np.zeros(rows.shape[1])
    for start in range(0, len(rows), 256):
        total += rows[start : start + 256].sum(axis=0)
    inner = [order[i] for i in range(len(axes), x.ndim)]
    shaped = total.reshape([x.shape[i] for i in inner])
    return shaped.transpose(sorted(range(len(inner)), key=inner.__getitem__)).reshape(kept)


def _runs(x: np.ndarray, axes: Axes) -> tuple[tuple[int, ...], int] | None:
    """The memory order of the dimensions, and how many elements that are summed over lie side by side.

    None where that is too few, or where x is not one block of memory.
    """
    order = memory_order(x)
    if not x.transpose(order).flags.c_contiguous:
        return None
    run = 1
    for axis in reversed(order):
        if axis not in axes:
            break
        run *= x.shape[axis]
    while run > _PIECE and run % 2 == 0:
        run //= 2
    return (order, run) if 16 <= run <= 4 * _PIECE else None


def _collected(pieces: np.ndarray, x: np.ndarray, order: tuple[int, ...], run: int, axes: Axes) -> np.ndarray:
    """The sums of runs added up in float64, in the shape that keepdims gives."""
    kept: list[int] = []  # the dimensions of x in memory order, the innermost ones cut down to their runs
    for axis in reversed(order):
        size = x.shape[axis]
        cut = math.gcd(size, run) if run > 1 else 1
        run //= cut
        kept.insert(0, size // cut)
    folded = pieces.reshape(kept)
    place = {axis: i for i, axis in enumerate(order)}
    total = folded.sum(axis=tuple(place[a] for a in axes), keepdims=True, dtype=np.float64)
    return total.transpose([place[i] for i in range(x.ndim)])
