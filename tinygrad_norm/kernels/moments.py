"""Normalisation on raw arrays: moments that stay exact far from zero, and few passes over memory.

The variance is E[x**2] - E[x]**2, which is exact where the mean is no larger than the standard deviation, or, over
many elements, whose rounding errors cancel, a few times as large. Elsewhere the mean is taken off first, as often as
it takes: a mean of 1e7 beside a standard deviation of 1 does no harm in float32. All that is per group of elements
(means, variances, coefficients) is float64, and so are small arrays, where one pass more would cost more than the width.
What lies between reading and writing is done in pieces that stay in the cache.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.backend import Array
from tinygrad_norm.kernels import moments_gpu
from tinygrad_norm.kernels.gpu import on_gpu
from tinygrad_norm.kernels.scratch import scratch_like
from tinygrad_norm.kernels.sums import sums, sums_with

Axes = tuple[int, ...]
_PART = 2**20  # bytes: what is worked on at a time
_FEW = 2**14  # elements: up to so many are computed in float64


class Moments(NamedTuple):
    """Per group, with axes kept.

    centres: what was taken off x, one after the other, in its own precision; mean: E[x - centres]; variance: Var[x];
    rstd: 1 / sqrt(variance + eps).
    """

    centres: list[Array]
    mean: Array
    variance: Array
    rstd: Array


def _for_long_rows(function: Callable) -> Callable:
    """For large arrays, with a setting of NumPy's under which broadcasting is two to three times as fast.

    Operands that are broadcast are first copied into a buffer, unless their rows are longer than it.
    """

    @functools.wraps(function)
    def run(x: Array, *args: Any) -> Any:
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is looked at, or is nan
            if x.size < 2**15:
                return function(x, *args)
            before = np.setbufsize(512)
            try:
                return function(x, *args)
            finally:
                np.setbufsize(before)

    return run


@_for_long_rows
def normalize(x: Array, weight: Array | None, bias: Array | None, axes: Axes, eps: float) -> tuple[Array, Moments]:
    """Y = (x - E[x]) / sqrt(Var[x] + eps) * weight + bias in one new array, and the moments.

    E and Var run over `axes`; weight and bias broadcast to x.
    """
    if on_gpu(x):
        mean, variance, rstd = moments_gpu.moments(x, axes, eps)
        return moments_gpu.normalize(x, weight, bias, mean, rstd), Moments([], mean, variance, rstd)
    wide = _wide(x)
    y = np.empty_like(wide)
    c, moments = _centred(wide, axes, eps, y)
    scale, offset = moments.rstd, -moments.mean * moments.rstd
    if weight is not None and _split(weight.shape, axes).inner:  # few numbers: scale and offset take them in
        scale, offset = scale * weight, offset * weight
        offset = offset if bias is None else offset + bias
        weight = bias = None
    scale, offset = scale.astype(c.dtype), offset.astype(c.dtype)
    for piece in _pieces(c):
        out = np.multiply(c[piece], _at(scale, piece), out=y[piece])
        out += _at(offset, piece)
        if weight is not None:
            out *= _at(weight, piece)
        if bias is not None:
            out += _at(bias, piece)
    return y.astype(x.dtype, copy=False), moments


@_for_long_rows
def gradients(
    g: Array, x: Array, weight: Array | None, moments: Moments, axes: Axes, needs: tuple[bool, ...]
) -> tuple[Array | None, Array | None, Array | None]:
    """The gradients of x, weight and bias, given that of y.

    With gy = g * weight and x_hat = (x - mean) * rstd:

        gx = rstd * (gy - mean(gy) - x_hat * mean(gy * x_hat)),  means over `axes`;
        gweight = sum(g * x_hat), gbias = sum(g), over the axes that weight and bias were broadcast along.
    """
    if on_gpu(x):
        return moments_gpu.gradients(g, x, weight, moments.mean, moments.rstd, axes, needs)
    dtype, c, g = x.dtype, _wide(x), _wide(g)
    if g.strides != c.strides:  # the same memory order, so that both are read along
        g, given = scratch_like(c, "gradient"), g
        g[...] = given
    gx = np.empty_like(c)
    for centre in moments.centres:
        c = np.subtract(c, centre, out=gx)
    per_element = weight is not None and not _split(weight.shape, axes).inner
    find = _gradients_per_element if per_element else _gradients_per_group
    found = find(g, c, weight, moments, axes, gx, needs)
    return tuple(v.astype(dtype, copy=False) if need else None for v, need in zip(found, needs))  # type: ignore[return-value]


def _gradients_per_group(
    g: Array, c: Array, weight: Array | None, moments: Moments, axes: Axes, gx: Array, needs: tuple[bool, ...]
) -> tuple[Array, Array, Array]:
    """With a weight that is the same for many elements: all follows from the sums of g and of g * c over those."""
    mean, rstd = moments.mean, moments.rstd
    inner, outside, rest = _Split(axes, (), ()) if weight is None else _split(weight.shape, axes)
    sum_g, sum_gc = sums_with(g, c, inner)
    sum_gc -= mean * sum_g
    gweight, gbias, scale = sum_gc * rstd, sum_g, rstd
    if weight is not None:
        scale = rstd * weight
        if outside:
            gweight, gbias = (v.sum(axis=outside, keepdims=True) for v in (gweight, gbias))
        sum_g, sum_gc = sum_g * weight, sum_gc * weight
        if rest:
            sum_g, sum_gc = (v.sum(axis=rest, keepdims=True) for v in (sum_g, sum_gc))
    if needs[0]:
        slope, offset = _slope_and_offset(sum_g, sum_gc, mean, rstd, c.size)
        scale, slope, offset = (v.astype(c.dtype) for v in (scale, slope, offset))
        for piece in _pieces(c):
            out = np.multiply(c[piece], _at(slope, piece), out=gx[piece])
            out += _at(offset, piece)
            out += np.multiply(g[piece], _at(scale, piece), out=scratch_like(out, "norm"))
    return gx, gweight, gbias


def _gradients_per_element(
    g: Array, c: Array, weight: Array, moments: Moments, axes: Axes, gx: Array, needs: tuple[bool, ...]
) -> tuple[Array, Array, Array]:
    """With a weight per element, as layer norm has: the sums over a group come after the product with the weight."""
    affine = tuple(i for i in range(c.ndim) if weight.shape[i] == 1)
    gweight = np.zeros(weight.shape, np.float64)
    gbias = np.zeros(weight.shape, np.float64)
    whole = tuple(i for i in range(c.ndim) if i in axes or weight.shape[i] > 1)
    for piece in _pieces(c, whole):
        mean, rstd = _at(moments.mean, piece), _at(moments.rstd, piece)
        gp, cp, out = g[piece], c[piece], gx[piece]
        work = scratch_like(out, "norm")
        if needs[1] or needs[2]:
            np.multiply(cp, rstd.astype(c.dtype), out=work)
            work += (-mean * rstd).astype(c.dtype)
            work *= gp
            gweight += sums(work, affine)
            gbias += sums(gp, affine)
        gy = np.multiply(gp, weight, out=work)
        sum_gy, sum_gyc = sums_with(gy, cp, axes)
        sum_gyc -= mean * sum_gy
        slope, offset = _slope_and_offset(sum_gy, sum_gyc, mean, rstd, cp.size)
        scale, slope, offset = (v.astype(c.dtype) for v in (rstd, slope, offset))
        gy *= scale
        np.multiply(cp, slope, out=out)
        out += offset
        out += gy
    return gx, gweight, gbias


def _slope_and_offset(sum_gy: Array, sum_gyc: Array, mean: Array, rstd: Array, size: int) -> tuple[Array, Array]:
    """Gx = rstd * gy + slope * c + offset, of the sums of gy and of gy * (c - mean) over the groups of c."""
    part = rstd * (-sum_gy.size / max(size, 1))
    slope = part * rstd * rstd * sum_gyc
    return slope, part * sum_gy - slope * mean


# ---- moments ------------------------------------------------------------------------------


def _centred(x: Array, axes: Axes, eps: float, out: Array) -> tuple[Array, Moments]:
    """X, or in `out` x less its centres, and the moments."""
    c, count = x, _count(x.shape, axes)
    harmless = 100.0 if c.dtype == np.float64 else min(1 + count / 8192, 8.0)  # for an error of a few roundings
    centres: list[Array] = []
    while True:
        total, squares = sums_with(c, c, axes)
        mean = total / count
        variance = squares / count - mean * mean
        rstd = 1 / np.sqrt(variance + eps)
        overflow = not rstd.all()
        if len(centres) == 2 or not (overflow or (mean * mean > harmless * variance).any()):
            break
        centres.append(mean.astype(c.dtype))
        c = np.subtract(c, centres[-1], out=out)
    if overflow:  # squares too large for c's dtype
        largest = abs(c).max(axis=axes, keepdims=True)
        unit = np.where((largest > 1) & (largest < math.inf), largest, 1)
        scaled = c / unit
        total, squares = sums_with(scaled, scaled, axes)
        variance = squares / count - (total / count) ** 2
        variance *= unit.astype(np.float64) ** 2
        rstd = 1 / np.sqrt(variance + eps)
    return c, Moments(centres, mean, variance, rstd)


def _wide(x: Array) -> Array:
    """X in the precision to compute with: float64 where there are few elements, float32 for float16."""
    if x.size <= _FEW:
        return x.astype(np.float64, copy=False)
    return x.astype(np.float32) if x.dtype == dtypes.float16 else x


class _Split(NamedTuple):
    """The axes along which a weight does not change, and the others that are normalized."""

    inner: Axes  # normalized: none for a weight per element
    outside: Axes
    rest: Axes


@functools.lru_cache(maxsize=1024)
def _split(weight: tuple[int, ...], axes: Axes) -> _Split:
    """For a weight of this shape."""
    inner = tuple(a for a in axes if weight[a] == 1)
    outside = tuple(i for i in range(len(weight)) if weight[i] == 1 and i not in axes)
    return _Split(inner, outside, tuple(a for a in axes if a not in inner))


@functools.lru_cache(maxsize=1024)
def _count(shape: tuple[int, ...], axes: Axes) -> int:
    return math.prod(shape[a] for a in axes)


# ---- pieces -------------------------------------------------------------------------------


def _pieces(x: Array, whole: Axes = ()) -> list[Any]:
    """Indices of parts of x that fit the cache, cut along the slowest dimension in memory, unless that is in `whole`."""
    if x.nbytes <= 2 * _PART:
        return [...]
    axis = max((a for a in range(x.ndim) if x.shape[a] > 1), key=lambda a: x.strides[a])
    if axis in whole:
        return [...]
    step = max(_PART * x.shape[axis] // x.nbytes, 1)
    return [(slice(None),) * axis + (slice(i, i + step),) for i in range(0, x.shape[axis], step)]


def _at(v: Array, piece: Any) -> Array:
    """The part of v that belongs to a piece; v broadcasts to what was cut."""
    return v if piece is ... or v.shape[len(piece) - 1] == 1 else v[piece]
