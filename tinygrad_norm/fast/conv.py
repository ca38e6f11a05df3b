"""Two-dimensional convolution: lowered along the width only, batch innermost in memory.

**Memory order.** An array of shape (N, C, H, W) is kept with N running fastest, then W, C, H: a line of an image
is then a contiguous block [c, w, n], and a slice of it along w is long contiguous runs. Elementwise functions keep
that order by themselves, pooling adds long runs, and flattening for a linear layer is a transposed matrix, which
BLAS takes as it is. Nobody outside sees it: the logical shape stays (N, C, H, W).

**Lowering** (Cho and Brand 2017, "MEC: memory-efficient convolution for deep neural network", arXiv:1706.06873).
im2col copies each input kh * kw times. Here each is copied kw times, once for each place in a row of the kernel:

    input line h, one channel         lowered line h, kernel width 3
        a b c d e            j = 0      a b c        column w' of the block holds
                             j = 1      b c d        what output w' sees of this line
                             j = 2      c d e

    The kh lines under the output line h' follow one another in memory: together they are a matrix with
    kh * C * kw rows and W' * N columns, and no copy is needed to make it one.

        lowered     line 0 ┐
                    line 1 ├ output line 0 ┐
                    line 2 ┘               ├ output line 1       (kernel height 3, stride 1)
                    line 3 ────────────────┘

    out[h'] = weight (O, kh * C * kw)  @  lowered[h' ... h' + kh - 1] (kh * C * kw, W' * N)

One matrix product per output line, all lines in one call of `matmul`. The weight's gradient is the same products
with the gradient on the right, summed over the lines. The input's gradient goes the other way: each lowered line is
one product of the weight and the output lines that saw it, which follow one another as well; then each of its kw
places is added to the columns it came from.
"""

from __future__ import annotations

import functools
import math
import threading
from typing import Any

import numpy as np

from tinygrad_norm.fast import parallel_products

Array = np.ndarray


def batch_innermost(x: Array) -> Array:
    """The same x (N, C, H, W), or a copy with the memory order that the lowering reads along."""
    if x.dtype.kind != "f":
        return x
    lines = x.transpose(2, 1, 3, 0)
    if lines.flags.c_contiguous:
        return x
    turned = np.empty(lines.shape, x.dtype)
    for n in range(0, len(x), 8):  # a few images at a time: many at once are too far apart for the cache
        turned[..., n : n + 8] = lines[..., n : n + 8]
    return turned.transpose(3, 1, 0, 2)


def convolve(x: Array, weight: Array, geometry: Any) -> Array:
    """out (N, O, H', W') of x (N, C, H, W) and weight (O, C / groups, kh, kw)."""
    if x.dtype.kind != "f" or x.itemsize < 4:
        return NotImplemented
    rows, columns, groups = geometry
    lines, split = _in_lines(x, groups), weight.reshape(groups, len(weight) // groups, *weight.shape[1:])
    matrix = split.transpose(0, 1, 3, 2, 4).reshape(*split.shape[:2], -1)[
        :, None
    ]  # (groups, 1, O / groups, kh * C / groups * kw)
    out = np.empty((rows.count, groups, len(weight) // groups, columns.count * len(x)), x.dtype)

    def compute(part: int, lo: int, hi: int) -> None:
        np.matmul(matrix, _lower(lines, geometry, lo, hi), out=out[lo:hi].transpose(1, 0, 2, 3))

    parallel_products(compute, rows.count, out[0].size * matrix.shape[3])
    return _batch_first(out.reshape(rows.count, len(weight), columns.count, len(x)))


def convolve_weight_gradient(x: Array, g: Array, geometry: Any) -> Array:
    """The gradient of weight (O, C / groups, kh, kw), given that of the output."""
    if x.dtype.kind != "f" or x.itemsize < 4 or not x.shape[1]:
        return NotImplemented
    rows, columns, groups = geometry
    lines, outputs = _in_lines(x, groups), _grouped_lines(g, groups).swapaxes(-1, -2)
    places = rows.kernel * (x.shape[1] // groups) * columns.kernel
    products = np.empty((groups, rows.count, places, outputs.shape[3]), x.dtype)  # of each output line

    def compute(part: int, lo: int, hi: int) -> None:
        np.matmul(_lower(lines, geometry, lo, hi), outputs[:, lo:hi], out=products[:, lo:hi])  # outputs @ lines^T is slower

    parallel_products(compute, rows.count, products[:, 0].size * outputs.shape[2])
    matrix = products.sum(axis=1)
    weight = matrix.reshape(groups, rows.kernel, x.shape[1] // groups, columns.kernel, -1).transpose(0, 4, 2, 1, 3)
    return weight.reshape(-1, *weight.shape[2:])


def convolve_input_gradient(g: Array, weight: Array, geometry: Any) -> Array:
    """The gradient of x (N, C, H, W), given that of the output."""
    if g.dtype.kind != "f" or g.itemsize < 4 or not weight.shape[1]:
        return NotImplemented
    rows, columns, groups = geometry
    channels, width = weight.shape[1], weight.shape[3]
    lines = _grouped_lines(g, groups)
    # for each line of the kernel, what takes an output line to the lowered line: (groups, C * kw, kh, O)
    steps = weight.reshape(groups, -1, channels, rows.kernel, width).transpose(0, 2, 4, 3, 1)[:, :, :, ::-1]
    steps = np.ascontiguousarray(steps).reshape(groups, channels * width, rows.kernel, steps.shape[4])
    steps = steps[:, :, ::-1]  # backwards in memory, as its places are taken
    gx = np.zeros((rows.size, groups, channels, columns.size, len(g)), g.dtype)
    seen = _seen(rows)

    def compute(part: int, lo: int, hi: int) -> None:
        lowered = _scratch((groups, hi - lo, channels * width, columns.count * len(g)), g.dtype)
        for line, at in zip(lowered.swapaxes(0, 1), seen[lo:hi]):
            if at is None:
                line[...] = 0
            else:
                places, outputs = at
                matrix = steps[:, :, places].reshape(groups, channels * width, -1)
                above = lines[:, outputs].reshape(groups, matrix.shape[2], lines.shape[3])
                np.matmul(matrix, above, out=line)
        folded = lowered.reshape(groups, hi - lo, channels, width, columns.count, len(g))
        inside = gx[lo:hi].transpose(1, 0, 2, 3, 4)
        for j, (outputs, inputs) in enumerate(columns.taps):
            inside[:, :, :, inputs] += folded[:, :, :, j, outputs]

    parallel_products(compute, rows.size, steps[0].size * lines[:, 0, 0].size)
    return _batch_first(gx.reshape(rows.size, groups * channels, columns.size, len(g)))


# ---- the lowered matrix -------------------------------------------------------------------


def _in_lines(x: Array, groups: int) -> Array:
    """x (N, C, H, W) as (groups, H, C / groups, W, N)."""
    batch, channels, height, width = x.shape
    lines = batch_innermost(x).transpose(2, 1, 3, 0)
    return lines.reshape(height, groups, channels // groups, width, batch).transpose(1, 0, 2, 3, 4)


def _lower(lines: Array, geometry: Any, lo: int, hi: int) -> Array:
    """The matrix under each of the output lines lo to hi: (groups, hi - lo, kh * C / groups * kw, W' * N).

    lowered[group, h, c, j, w', n] = x[n, c, h, the input that w' sees at place j]; zero in the padding.
    """
    rows, columns, groups = geometry
    _, height, channels, _, batch = lines.shape
    reach = (rows.kernel - 1) * rows.dilation + 1
    first, last = lo * rows.stride - rows.before, (hi - 1) * rows.stride - rows.before + reach  # the input lines they see
    lowered = _scratch((groups, last - first, channels, columns.kernel, columns.count, batch), lines.dtype)
    start, stop = min(max(first, 0), height), min(max(last, 0), height)
    if first < 0 or last > height or columns.before or columns.after:
        lowered[...] = 0
    inside = lowered[:, start - first : stop - first]
    for j, (outputs, inputs) in enumerate(columns.taps):
        inside[:, :, :, j, outputs] = lines[:, start:stop, :, inputs]
    height = rows.kernel * channels * columns.kernel
    if rows.dilation != 1:  # the lines of one window are apart: they have to be copied together
        at = np.arange(hi - lo)[:, None] * rows.stride + np.arange(rows.kernel) * rows.dilation
        return lowered[:, at].reshape(groups, hi - lo, height, columns.count * batch)
    group, line = lowered.strides[:2]
    shape, column = (groups, hi - lo, height, columns.count * batch), columns.count * batch * lowered.itemsize
    return np.ndarray(shape, lowered.dtype, lowered, 0, (group, rows.stride * line, column, lowered.itemsize))


def _grouped_lines(g: Array, groups: int) -> Array:
    """g (N, O, H', W') as (groups, H', O / groups, W' * N)."""
    lines = _in_lines(g, groups)
    return lines.reshape(*lines.shape[:3], -1)


def _batch_first(lines: Array) -> Array:
    """(H, C, W, N) as (N, C, H, W)."""
    return lines.transpose(3, 1, 0, 2)


# ---- memory used again --------------------------------------------------------------------


class _Kept(threading.local):
    """Each thread has its own."""

    def __init__(self) -> None:
        self.buffers: dict[np.dtype, Array] = {}


_kept = _Kept()
_LARGEST = 256 * 2**20  # bytes; what is larger is not kept


def _scratch(shape: tuple[int, ...], dtype: np.dtype) -> Array:
    """An array of undefined values, valid until the next call: the lowered matrix, which is never kept or returned.

    Fresh memory of that size costs more than to fill it.
    """
    size = math.prod(shape)
    if size * dtype.itemsize > _LARGEST:
        return np.empty(shape, dtype)
    buffer = _kept.buffers.get(dtype)
    if buffer is None or buffer.size < size:
        buffer = _kept.buffers[dtype] = np.empty(size, dtype)
    return buffer[:size].reshape(shape)


@functools.lru_cache(maxsize=256)
def _seen(w: Any) -> list[tuple[slice, slice] | None]:
    """For each input: the places of the kernel at which it is seen, and the outputs that see it there.

    Both are arithmetic progressions: of o * stride + i * dilation = input + before, one solution after the other
    has a larger o and a smaller i. None for an input that no output sees.
    """
    forward, back = (v // math.gcd(w.stride, w.dilation) for v in (w.dilation, w.stride))
    found: list[tuple[slice, slice] | None] = []
    for position in range(w.size):
        pairs = []
        for o in range(w.count):
            i, rest = divmod(position + w.before - o * w.stride, w.dilation)
            if rest == 0 and 0 <= i < w.kernel:
                pairs.append((i, o))
        if not pairs:
            found.append(None)
            continue
        (first, start), (last, end) = pairs[0], pairs[-1]
        found.append((slice(first, last - back if last >= back else None, -back), slice(start, end + 1, forward)))
    return found
