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

Where BLAS is fast at small products (kernels/blas.py), each of these is cut into pieces of some of the columns. Elsewhere a
product with few output channels is too narrow to be fast. Two output lines are then made at once, by a matrix that
holds the weight twice; the zeros cost less than the width brings:

    out line 0    w w w w w .        lowered line 0 ... 5 (kernel height 5)
    out line 1    . w w w w w

With up to 8 channels and a tall kernel it is four lines.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tinygrad_norm.backend import Array, xp
from tinygrad_norm.kernels.blas import SMALL, SMALL_ALONG_K, cut, has_small_kernels, pieces
from tinygrad_norm.kernels.gpu import on_gpu
from tinygrad_norm.kernels.scratch import scratch
from tinygrad_norm.kernels.sums import sums
from tinygrad_norm.kernels.window import Windows


class Geometry(NamedTuple):
    """The windows along height and width, and into how many groups the channels are divided."""

    rows: Windows
    columns: Windows
    groups: int = 1


def forward(x: Array, weight: Array, geometry: Geometry) -> Array:
    """Out (N, O, H', W') of x (N, C, H, W) and weight (O, C / groups, kh, kw)."""
    rows, columns, groups = geometry
    together = _lines_together(x, len(weight), geometry)
    if together > 1 and not _is_finite(x):
        together = 1  # in the doubled matrix, zero times infinity would be nan
    lines = _lines(_lower(x, geometry), geometry, together)
    matrix = _as_matrix(weight, geometry, together)
    out = xp(x).empty((lines.shape[1], groups, matrix.shape[1], lines.shape[3]), x.dtype)
    _product(matrix[:, None], lines, out.transpose(1, 0, 2, 3))
    return _batch_first(out.reshape(rows.count, len(weight), columns.count, len(x)))


def weight_gradient(x: Array, g: Array, geometry: Geometry) -> Array:
    """The gradient of weight (O, C / groups, kh, kw), given that of the output."""
    rows, columns, groups = geometry
    if not x.shape[1]:
        return xp(g).zeros((g.shape[1], 0, rows.kernel, columns.kernel), g.dtype)
    out_channels = g.shape[1] // groups
    together = _lines_together(x, g.shape[1], geometry)
    lines = _lines(_lower(x, geometry), geometry, together)
    _, count, height, width = lines.shape
    m = 1 if on_gpu(x) else pieces(together * out_channels, SMALL_ALONG_K // height, 4)
    outputs = _grouped_lines(g, geometry).reshape(groups, count, m, together * out_channels // m, width)
    size = outputs.shape[3] * height
    n = _pieces(lines, size) if size <= SMALL_ALONG_K else 1
    products = xp(x).matmul(cut(lines, n)[:, :, None], cut(outputs, n).swapaxes(-1, -2))  # faster than outputs @ lines^T
    wide = products.sum(axis=(1, 3)).transpose(0, 2, 1, 3).reshape(groups, height, together, out_channels)
    line = x.shape[1] // groups * columns.kernel
    matrix = wide[:, : rows.kernel * line, 0]
    for i in range(1, together):
        matrix = matrix + wide[:, i * rows.stride * line :][:, : rows.kernel * line, i]
    weight = matrix.reshape(groups, rows.kernel, x.shape[1] // groups, columns.kernel, -1).transpose(0, 4, 2, 1, 3)
    return weight.reshape(-1, *weight.shape[2:])


def input_gradient(g: Array, weight: Array, geometry: Geometry) -> Array:
    """The gradient of x (N, C, H, W), given that of the output."""
    rows, columns, groups = geometry
    channels, width = weight.shape[1], weight.shape[3]
    if not channels:
        return xp(g).zeros((len(g), 0, rows.size, columns.size), g.dtype)
    lines = _grouped_lines(g, geometry)
    # for each line of the kernel, what takes an output line to the lowered line: (groups, C * kw, kh, O)
    steps = weight.reshape(groups, -1, channels, rows.kernel, width).transpose(0, 2, 4, 3, 1)[:, :, :, ::-1]
    steps = xp(g).ascontiguousarray(steps).reshape(groups, channels * width, rows.kernel, steps.shape[4])
    steps = steps[:, :, ::-1]  # backwards in memory, as its places are taken
    lowered = scratch(g, (groups, rows.size, channels * width, columns.count * len(g)), "lowered")
    for line, seen in zip(lowered.swapaxes(0, 1), rows.seen()):
        if seen is None:
            line[...] = 0
        else:
            places, outputs = seen
            matrix = steps[:, :, places].reshape(groups, channels * width, -1)
            above = lines[:, outputs].reshape(groups, matrix.shape[2], lines.shape[3])
            _product(matrix, above, line)
    folded = lowered.reshape(groups, rows.size, channels, width, columns.count, len(g))
    gx = xp(g).zeros((rows.size, groups, channels, columns.size, len(g)), g.dtype)
    inside = gx.transpose(1, 0, 2, 3, 4)
    for j, (outputs, inputs) in enumerate(columns.taps()):
        inside[:, :, :, inputs] += folded[:, :, :, j, outputs]
    return _batch_first(gx.reshape(rows.size, groups * channels, columns.size, len(g)))


def batch_innermost(x: Array) -> Array:
    """The same x (N, C, H, W), or a copy with the memory order that the lowering reads along."""
    lines = x.transpose(2, 1, 3, 0)
    if lines.flags.c_contiguous:
        return x
    if on_gpu(x):
        return _batch_first(xp(x).ascontiguousarray(lines))
    turned = xp(x).empty(lines.shape, x.dtype)
    for n in range(0, len(x), 8):  # a few images at a time: many at once are too far apart for the cache
        turned[..., n : n + 8] = lines[..., n : n + 8]
    return _batch_first(turned)


# ---- the lowered matrix -------------------------------------------------------------------


def _lower(x: Array, geometry: Geometry) -> Array:
    """lowered[group, h, c, j, w', n] = x[n, c, h, the input that w' sees at place j]; zero in the padding."""
    rows, columns, groups = geometry
    batch, channels, height, width = x.shape
    lines = batch_innermost(x).transpose(2, 1, 3, 0)
    lines = lines.reshape(height, groups, channels // groups, width, batch).transpose(1, 0, 2, 3, 4)
    if on_gpu(x):
        return _gathered(lines, rows, columns)
    padded = rows.before + height + rows.after
    shape = (groups, padded, channels // groups, columns.kernel, columns.count, batch)
    lowered = scratch(x, shape, "lowered")
    if rows.before or rows.after or columns.before or columns.after:
        lowered[...] = 0
    inside = lowered[:, rows.before : rows.before + height]
    for j, (outputs, inputs) in enumerate(columns.taps()):
        inside[:, :, :, j, outputs] = lines[:, :, :, inputs]
    return lowered


def _gathered(lines: Array, rows: Windows, columns: Windows) -> Array:
    """The same on a GPU, in one pass: every place of every window is looked up."""
    groups, height, channels, width, batch = lines.shape
    if rows.before or rows.after or columns.before or columns.after:
        around = (groups, rows.before + height + rows.after, channels, columns.before + width + columns.after, batch)
        padded = xp(lines).zeros(around, lines.dtype)
        padded[:, rows.before : rows.before + height, :, columns.before : columns.before + width] = lines
        lines = padded
    places = xp(lines).arange(columns.kernel) * columns.dilation
    starts = xp(lines).arange(columns.count) * columns.stride
    return xp(lines).take(lines, places[:, None] + starts, axis=3)


def _lines_together(x: Array, out_channels: int, geometry: Geometry) -> int:
    """How many output lines one product makes: two or four where there are few channels (measured with OpenBLAS)."""
    rows, _, groups = geometry
    if groups > 1 or rows.dilation > 1 or out_channels >= 16 or on_gpu(x) or has_small_kernels():
        return 1
    most = 4 if out_channels <= 8 and rows.kernel > 3 * rows.stride else 2
    return math.gcd(rows.count, most)


def _product(matrix: Array, lines: Array, out: Array) -> None:
    """Out = matrix @ lines, in pieces of the columns where that is faster."""
    n = _pieces(lines, matrix.shape[-1] * matrix.shape[-2])
    if n > 1:
        matrix, lines, out = matrix[..., None, :, :], cut(lines, n), cut(out, n)
    xp(lines).matmul(matrix, lines, out=out)


def _pieces(lines: Array, size: int) -> int:
    """Into how many pieces to cut the columns of lines that are multiplied by a matrix of so many elements."""
    return 1 if on_gpu(lines) else pieces(lines.shape[-1], SMALL // max(size, 1), 64)


def _is_finite(x: Array) -> bool:
    """Whether no element is infinite or nan; wrongly False where only the sum is."""
    with np.errstate(over="ignore", invalid="ignore"):
        return math.isfinite(sums(x, tuple(range(x.ndim))).item())


def _lines(lowered: Array, geometry: Geometry, together: int) -> Array:
    """The matrix under each output line, or under two: (groups, H', kh * C / groups * kw, W' * N), without a copy."""
    rows = geometry.rows
    groups, _, channels, places, width, batch = lowered.shape
    if rows.dilation != 1:  # the lines of one window are apart: they have to be copied together
        at = xp(lowered).arange(rows.count)[:, None] * rows.stride + xp(lowered).arange(rows.kernel) * rows.dilation
        return lowered[:, at].reshape(groups, rows.count, rows.kernel * channels * places, width * batch)
    height = rows.kernel + (together - 1) * rows.stride
    item = lowered.dtype.itemsize
    column, line = width * batch * item, channels * places * width * batch * item
    shape = (groups, rows.count // together, height * channels * places, width * batch)
    strides = (lowered.shape[1] * line, together * rows.stride * line, column, item)
    if on_gpu(lowered):
        return xp(lowered).lib.stride_tricks.as_strided(lowered, shape, strides)
    return np.ndarray(shape, lowered.dtype, lowered, 0, strides)  # as as_strided, without its 5 us


def _as_matrix(weight: Array, geometry: Geometry, together: int) -> Array:
    """(O, C / groups, kh, kw) as (groups, O / groups, kh * C / groups * kw), for two lines as drawn above."""
    out_channels, channels, height, width = weight.shape
    split = weight.reshape(geometry.groups, out_channels // geometry.groups, channels, height, width)
    matrix = split.transpose(0, 1, 3, 2, 4).reshape(geometry.groups, out_channels // geometry.groups, -1)
    if together == 1:
        return matrix
    step, length = geometry.rows.stride * channels * width, matrix.shape[2]
    wide = xp(weight).zeros((1, together, out_channels, length + (together - 1) * step), weight.dtype)
    for i in range(together):
        wide[:, i, :, i * step : i * step + length] = matrix
    return wide.reshape(1, together * out_channels, -1)


def _grouped_lines(g: Array, geometry: Geometry) -> Array:
    """G (N, O, H', W') as (groups, H', O / groups, W' * N)."""
    batch, channels, height, width = g.shape
    lines = batch_innermost(g).transpose(2, 1, 3, 0)
    return lines.reshape(height, geometry.groups, channels // geometry.groups, width * batch).transpose(1, 0, 2, 3)


def _batch_first(lines: Array) -> Array:
    """(H, C, W, N) as (N, C, H, W)."""
    return lines.transpose(3, 1, 0, 2)
