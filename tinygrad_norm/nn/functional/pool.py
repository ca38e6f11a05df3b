"""Pooling: the maximum or the mean of each window.

The definitions stack the windows. The textbook functions go from place to place in the window: for each, a slice of the
inputs meets the outputs that see it there (window.py). Where Numba is, fast/pool.py stands in for them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Tensor, op
from tinygrad_norm.backend import Array, xp
from tinygrad_norm.checks.arguments import checked
from tinygrad_norm.checks.kinds import Number
from tinygrad_norm.checks.sizes import pair
from tinygrad_norm.engine.tensor import wrap
from tinygrad_norm.fast import replaceable
from tinygrad_norm.nn.functional.conv import Pair, places
from tinygrad_norm.nn.functional.window import Windows
from tinygrad_norm.ops.joining import stack
from tinygrad_norm.ops.padding import pad
from tinygrad_norm.ops.select import raw, where
from tinygrad_norm.ops.shape import unsqueeze
from tinygrad_norm.ops.special import masked

Two = tuple[int, int]


def _windows(
    input: Tensor, kernel_size: Pair, stride: Any, padding: Pair, dilation: Pair, ceil_mode: bool
) -> tuple[Windows, ...]:
    """The windows along height and width, checked."""
    kernels = pair(kernel_size, "kernel_size", 1)
    strides = kernels if stride is None or (isinstance(stride, (tuple, list)) and not stride) else pair(stride, "stride", 1)
    paddings, dilations = pair(padding, "padding"), pair(dilation, "dilation", 1)
    return _windows_over(input.array.shape, kernels, strides, paddings, dilations, bool(ceil_mode))


@functools.lru_cache(maxsize=1024)
def _windows_over(
    shape: tuple[int, ...], kernels: Two, strides: Two, paddings: Two, dilations: Two, ceil_mode: bool
) -> tuple[Windows, ...]:
    if 0 in shape[-3:]:
        raise RuntimeError(f"Expected 3D or 4D (batch mode) tensor, of sizes above 0 but for the batch: {list(shape)}")
    for k, p in zip(kernels, paddings):
        if not 0 <= p <= k // 2:
            raise RuntimeError(f"pad should be at most half of the kernel size, but got pad={p}, kernel_size={k}")
    each = zip(shape[-2:], kernels, strides, paddings, dilations)
    found = tuple(Windows(n, k, s, p, p, d, ceil_mode) for n, k, s, p, d in each)
    if min(w.count for w in found) <= 0:
        raise RuntimeError(f"Output size is too small: {[w.count for w in found]}, for the input size {list(shape)}")
    return found


def _stacked(x: Tensor, rows: Windows, columns: Windows, value: float) -> Tensor:
    """(N, C, H', W', kh * kw): the inputs of each window; the padding holds `value`."""
    reach = [(w.count - 1) * w.stride + (w.kernel - 1) * w.dilation + 1 for w in (rows, columns)]
    after = [max(r - w.before - w.size, 0) for r, w in zip(reach, (rows, columns))]
    x = pad(x, (columns.before, after[1], rows.before, after[0]), value=value)
    seen = [x[:, :, places(i, rows), places(j, columns)] for i in range(rows.kernel) for j in range(columns.kernel)]
    return stack(seen, -1)


def _overlap(w: Windows) -> bool:
    """Whether two windows may see the same input."""
    return w.dilation * (w.kernel - 1) >= w.stride


def _tile(w: Windows) -> bool:
    """Whether each input is seen once."""
    return w.kernel == w.stride and w.dilation == 1 and w.count * w.kernel == w.size and not w.before


def elements_seen(w: Windows, include_padding: bool) -> list[int]:
    """How many inputs each window sees: with the padding, which ends where it was asked to end, or without."""
    low, high = (-w.before, w.size + w.after) if include_padding else (0, w.size)
    starts = [o * w.stride - w.before for o in range(w.count)]
    return [min(s + w.kernel, high) - max(s, low) for s in starts]


# ---- the textbook -------------------------------------------------------------------------


def _taps(rows: Windows, columns: Windows) -> Iterator[tuple[tuple, tuple]]:
    """For each place in the window, in reading order: the index of the outputs that see an input, and of the inputs."""
    everything = slice(None)
    for rows_out, rows_in in rows.taps:
        for columns_out, columns_in in columns.taps:
            yield (everything, everything, rows_out, columns_out), (everything, everything, rows_in, columns_in)


def _like(x: Array, height: int, width: int, value: float) -> Array:
    """(N, C, height, width) filled with a value, batch innermost in memory."""
    batch, channels = x.shape[:2]
    return xp(x).full((height, channels, width, batch), value, dtype=x.dtype).transpose(3, 1, 0, 2)


def _to_be_filled(g: Array, rows: Windows, columns: Windows) -> Array:
    """The inputs' gradient: zeros, but where all will be written anyway."""
    if all(map(_tile, (rows, columns))):
        return xp(g).empty((rows.size, g.shape[1], columns.size, len(g)), g.dtype).transpose(3, 1, 0, 2)
    return _like(g, rows.size, columns.size, 0)


def _folded(x: Array, rows: Windows, columns: Windows, combine: Callable, neutral: float) -> Array:
    """The inputs of each window combined by a ufunc, place by place; `neutral` where a window sees only padding."""
    out = None
    for outputs, inputs in _taps(rows, columns):
        seen = x[inputs]
        if out is None:
            whole = seen.shape[2:] == (rows.count, columns.count)
            out = seen.copy(order="K") if whole else _like(x, rows.count, columns.count, neutral)
            if whole:
                continue
        combine(out[outputs], seen, out=out[outputs])
    return out


@replaceable
def window_maximum(x: Array, rows: Windows, columns: Windows) -> Array:
    """The largest input of each window; nan if one is nan."""
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    return _folded(x, rows, columns, xp(x).maximum, lowest)


def _first(x: Array, out: Array, rows: Windows, columns: Windows) -> Iterator[tuple[tuple, tuple, Array]]:
    """For each place: the outputs, the inputs, and where this place is the first that holds the maximum, or the last nan."""
    free = xp(x).ones_like(out, dtype=bool)
    last_nan = None
    if not isinstance(out, np.ndarray) or np.isnan(out).any():
        last_nan = xp(x).full(out.shape, -1)
        for k, (outputs, inputs) in enumerate(_taps(rows, columns)):
            last_nan[outputs] = xp(x).where(x[inputs] != x[inputs], k, last_nan[outputs])
    for k, (outputs, inputs) in enumerate(_taps(rows, columns)):
        here = x[inputs] == out[outputs]
        if last_nan is not None:
            here |= last_nan[outputs] == k
        here &= free[outputs]
        free[outputs] ^= here
        yield outputs, inputs, here


@replaceable
def scatter_to_maximum(g: Array, x: Array, out: Array, rows: Windows, columns: Windows) -> Array:
    """g, put where the maximum of each window was found; ties go to the first, of several nan the last gets it."""
    gx = _to_be_filled(g, rows, columns)
    overlap = any(map(_overlap, (rows, columns)))
    for outputs, inputs, here in _first(x, out, rows, columns):
        if overlap:
            gx[inputs] += masked(g[outputs], here)
        else:
            gx[inputs] = masked(g[outputs], here)
    return gx


def pick_from_maximum(values: Array, x: Array, out: Array, rows: Windows, columns: Windows) -> Array:
    """The values that stand where the maximum of each window was found."""
    picked = _like(values, rows.count, columns.count, 0)
    for outputs, inputs, here in _first(x, out, rows, columns):
        picked[outputs] += masked(values[inputs], here)
    return picked


def maximum_indices(x: Array, out: Array, rows: Windows, columns: Windows) -> Array:
    """Where the maximum of each window was found: h * W + w, int64."""
    height, width = x.shape[2:]
    positions = xp(x).arange(height * width).reshape(1, 1, height, width)
    found = xp(x).zeros(out.shape, "int64")
    for outputs, inputs, here in _first(x, out, rows, columns):
        found[outputs] += positions[inputs] * here
    return found


@replaceable
def window_sum(x: Array, rows: Windows, columns: Windows) -> Array:
    """The sum of the inputs of each window."""
    return _folded(x, rows, columns, xp(x).add, 0)


@replaceable
def scatter_to_windows(g: Array, rows: Windows, columns: Windows) -> Array:
    """The adjoint of window_sum: each input gets the sum of the gradients of the windows that see it."""
    gx = _to_be_filled(g, rows, columns)
    overlap = any(map(_overlap, (rows, columns)))
    for outputs, inputs in _taps(rows, columns):
        if overlap:
            gx[inputs] += g[outputs]
        else:
            gx[inputs] = g[outputs]
    return gx


# ---- maximum ------------------------------------------------------------------------------


def max_pool2d_definition(x: Tensor, *, rows: Windows, columns: Windows) -> Tensor:
    """The maximum of each window; of equal ones the first, in reading order, gets the gradient, of several nan the last."""
    seen = _stacked(x, rows, columns, -math.inf)
    return where(seen.isnan().any(-1), seen.flip(-1).max(-1).values, seen.max(-1).values)


@op(keeps=("maximum",))
def _max_pool2d(x, *, rows, columns):
    """The largest element of each window; and a copy of it: the result itself may be edited, as ReLU(inplace=True) does."""
    out = window_maximum(x, rows, columns)
    return out, out.copy(order="K")


@op
def _scatter_to_maximum(g, *, x, maximum, rows, columns):
    """The adjoint of the largest of windows: g to the element that was it."""
    return scatter_to_maximum(g, x, maximum, rows, columns)


@op
def _pick_maximum(values, *, x, maximum, rows, columns):
    """The element of each window that was the largest."""
    return pick_from_maximum(values, x, maximum, rows, columns)


_max_pool2d.vjp(
    x=lambda g, x, maximum, rows, columns: _scatter_to_maximum(g, x=raw(x), maximum=maximum, rows=rows, columns=columns)
)
_scatter_to_maximum.vjp(
    g=lambda g_out, x, maximum, rows, columns: _pick_maximum(g_out, x=x, maximum=maximum, rows=rows, columns=columns)
)
_pick_maximum.vjp(
    values=lambda g, x, maximum, rows, columns: _scatter_to_maximum(g, x=x, maximum=maximum, rows=rows, columns=columns)
)


@checked("input.ndim in (3, 4)")
def max_pool2d(
    input: Number[Tensor, "..."],
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window of (N, C, H, W) or (C, H, W); nothing in the padding is ever the maximum.

    stride: the distance of windows, by default kernel_size. ceil_mode: keep a last window that is only partly
    inside. Of equal maxima the first gets the gradient. return_indices: also where each maximum stands, h * W + w.
    """
    if input.ndim == 3:
        found = max_pool2d(unsqueeze(input, 0), kernel_size, stride, padding, dilation, ceil_mode, return_indices)
        return tuple(f[0] for f in found) if return_indices else found[0]
    rows, columns = _windows(input, kernel_size, stride, padding, dilation, ceil_mode)
    out = _max_pool2d(input, rows=rows, columns=columns)
    if return_indices:
        return out, wrap(maximum_indices(input.array, out.array, rows, columns))
    return out


# ---- mean ---------------------------------------------------------------------------------


def avg_pool2d_definition(x: Tensor, *, rows: Windows, columns: Windows, divisor: Any) -> Tensor:
    """The sum of each window, with zeros in the padding, over the divisor."""
    return _stacked(x, rows, columns, 0.0).sum(-1) / divisor


@op
def _avg_pool2d(x, *, rows, columns, divisor):
    """The mean of each window."""
    if x.dtype == dtypes.float16:  # added up in float32
        return (window_sum(x.astype(np.float32), rows, columns) / divisor).astype(x.dtype)
    out = window_sum(x, rows, columns)
    if x.dtype.kind != "f":  # rounded towards 0
        return xp(x).trunc(out / divisor).astype(x.dtype)
    out /= divisor
    return out


@op
def _scatter_mean(g, *, rows, columns, divisor):
    """The adjoint of the mean of windows: g / n to each element of its window."""
    return scatter_to_windows(g / divisor, rows, columns)


_avg_pool2d.vjp(x=lambda g, rows, columns, divisor: _scatter_mean(g, rows=rows, columns=columns, divisor=divisor))
_scatter_mean.vjp(g=lambda g_out, rows, columns, divisor: _avg_pool2d(g_out, rows=rows, columns=columns, divisor=divisor))


@checked("input.ndim in (3, 4)", "divisor_override != 0")
def avg_pool2d(
    input: Number[Tensor, "..."],
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of (N, C, H, W) or (C, H, W).

    count_include_pad: whether the padding's zeros count as elements. divisor_override: divide by this instead.
    """
    if input.ndim == 3:
        return avg_pool2d(unsqueeze(input, 0), kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)[0]
    rows, columns = _windows(input, kernel_size, stride, padding, 1, ceil_mode)
    divisor: Any = divisor_override
    if divisor is None:
        heights, widths = (elements_seen(side, count_include_pad) for side in (rows, columns))
        if len({*heights}) == len({*widths}) == 1:
            divisor = heights[0] * widths[0]
        else:
            module = xp(input.array)
            counts = module.asarray(heights)[:, None] * module.asarray(widths)
            divisor = counts.astype(input.dtype)
    return _avg_pool2d(input, rows=rows, columns=columns, divisor=divisor)


@checked("input.ndim in (2, 3)")
def avg_pool1d(
    input: Number[Tensor, "..."], kernel_size: int, stride: int | None = None, padding: int = 0, ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:  # fmt: skip
    """The mean of each window of (N, C, L) or (C, L): avg_pool2d of one line."""
    kernel, before = pair(kernel_size, "kernel_size")[0], pair(padding, "padding")[0]
    step = (1, kernel if stride is None else pair(stride, "stride")[0])
    return avg_pool2d(unsqueeze(input, -2), (1, kernel), step, (0, before), ceil_mode, count_include_pad).squeeze(-2)
