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
with the gradient on the left, summed over the lines; the input's gradient is weight^T @ g per line, added back to
the kh lines it came from, and then, for each of the kw places, to the columns it came from.
"""

from __future__ import annotations

from typing import NamedTuple

from tinygrad_norm.backend import Array, xp
from tinygrad_norm.kernels.scratch import scratch
from tinygrad_norm.kernels.window import Windows


class Geometry(NamedTuple):
    """The windows along height and width, and into how many groups the channels are divided."""

    rows: Windows
    columns: Windows
    groups: int = 1


def forward(x: Array, weight: Array, geometry: Geometry) -> Array:
    """Out (N, O, H', W') of x (N, C, H, W) and weight (O, C / groups, kh, kw)."""
    rows, columns, groups = geometry
    lines = _lines(_lower(x, geometry), geometry)
    matrix = _as_matrix(weight, geometry)
    out = xp(x).empty((rows.count, groups, len(weight) // groups, columns.count * len(x)), x.dtype)
    xp(x).matmul(matrix[:, None], lines, out=out.transpose(1, 0, 2, 3))
    return _batch_first(out.reshape(rows.count, len(weight), columns.count, len(x)))


def weight_gradient(x: Array, g: Array, geometry: Geometry) -> Array:
    """The gradient of weight (O, C / groups, kh, kw), given that of the output."""
    lines = _lines(_lower(x, geometry), geometry)
    products = xp(x).matmul(lines, _grouped_lines(g, geometry).swapaxes(-1, -2))  # twice as fast as g @ lines^T
    matrix = products.sum(axis=1).swapaxes(-1, -2)  # (groups, O / groups, kh * C / groups * kw)
    groups, out_channels, _ = matrix.shape
    kernel = (geometry.rows.kernel, x.shape[1] // groups, geometry.columns.kernel)
    weight = matrix.reshape(groups, out_channels, *kernel).transpose(0, 1, 3, 2, 4)
    return weight.reshape(groups * out_channels, kernel[1], kernel[0], kernel[2])


def input_gradient(g: Array, weight: Array, geometry: Geometry) -> Array:
    """The gradient of x (N, C, H, W), given that of the output."""
    rows, columns, groups = geometry
    batch, channels = len(g), weight.shape[1]
    lines = _grouped_lines(g, geometry)
    transposed = _as_matrix(weight, geometry).swapaxes(-1, -2)
    # line h of `lowered` collects what came back from the output lines that saw it
    height = rows.size + rows.before + rows.after
    lowered = scratch(g, (groups, height, channels * columns.kernel, columns.count * batch), "lowered")
    lowered[...] = 0
    place = scratch(g, (groups, rows.kernel * lowered.shape[2], lowered.shape[3]), "line")
    for o in range(rows.count):
        product = xp(g).matmul(transposed, lines[:, o], out=place)
        start = o * rows.stride
        seen = slice(start, start + (rows.kernel - 1) * rows.dilation + 1, rows.dilation)
        lowered[:, seen] += product.reshape(groups, rows.kernel, *lowered.shape[2:])
    columns_of = lowered[:, rows.before : rows.before + rows.size].reshape(
        groups, rows.size, channels, columns.kernel, columns.count, batch
    )
    gx = xp(g).zeros((rows.size, groups, channels, columns.size, batch), g.dtype)
    inside = gx.transpose(1, 0, 2, 3, 4)
    for j, (outputs, inputs) in enumerate(columns.taps()):
        inside[:, :, :, inputs] += columns_of[:, :, :, j, outputs]
    return _batch_first(gx.reshape(rows.size, groups * channels, columns.size, batch))


# ---- the lowered matrix -------------------------------------------------------------------


def _lower(x: Array, geometry: Geometry) -> Array:
    """lowered[group, h, c, j, w', n] = x[n, c, h, the input that w' sees at place j]; zero in the padding."""
    rows, columns, groups = geometry
    batch, channels, height, width = x.shape
    lines = x.transpose(2, 1, 3, 0)
    if not lines.flags.c_contiguous:  # from outside: turned round once, not once for each place in the kernel
        turned = scratch(x, lines.shape, "lines")
        turned[...] = lines
        lines = turned
    lines = lines.reshape(height, groups, channels // groups, width, batch).transpose(1, 0, 2, 3, 4)
    padded = rows.before + height + rows.after
    shape = (groups, padded, channels // groups, columns.kernel, columns.count, batch)
    lowered = scratch(x, shape, "lowered")
    if rows.before or rows.after or columns.before or columns.after:
        lowered[...] = 0
    inside = lowered[:, rows.before : rows.before + height]
    for j, (outputs, inputs) in enumerate(columns.taps()):
        inside[:, :, :, j, outputs] = lines[:, :, :, inputs]
    return lowered


def _lines(lowered: Array, geometry: Geometry) -> Array:
    """The matrix under each output line: (groups, H', kh * C / groups * kw, W' * N), without a copy."""
    rows = geometry.rows
    groups, _, channels, places, width, batch = lowered.shape
    if rows.dilation != 1:  # the lines of one window are apart: they have to be copied together
        at = xp(lowered).arange(rows.count)[:, None] * rows.stride + xp(lowered).arange(rows.kernel) * rows.dilation
        return lowered[:, at].reshape(groups, rows.count, -1, width * batch)
    item = lowered.dtype.itemsize
    column, line = width * batch * item, channels * places * width * batch * item
    return xp(lowered).lib.stride_tricks.as_strided(
        lowered,
        (groups, rows.count, rows.kernel * channels * places, width * batch),
        (lowered.shape[1] * line, rows.stride * line, column, item),
    )


def _as_matrix(weight: Array, geometry: Geometry) -> Array:
    """(O, C / groups, kh, kw) as (groups, O / groups, kh * C / groups * kw)."""
    out_channels, channels, height, width = weight.shape
    split = weight.reshape(geometry.groups, out_channels // geometry.groups, channels, height, width)
    return split.transpose(0, 1, 3, 2, 4).reshape(geometry.groups, out_channels // geometry.groups, -1)


def _grouped_lines(g: Array, geometry: Geometry) -> Array:
    """G (N, O, H', W') as (groups, H', O / groups, W' * N)."""
    batch, channels, height, width = g.shape
    lines = xp(g).ascontiguousarray(g.transpose(2, 1, 3, 0))
    return lines.reshape(height, geometry.groups, channels // geometry.groups, width * batch).transpose(1, 0, 2, 3)


def _batch_first(lines: Array) -> Array:
    """(H, C, W, N) as (N, C, H, W)."""
    return lines.transpose(3, 1, 0, 2)
