"""Convolution: as a sum over the places of the kernel, as a product of matrices, and (fast/conv.py) quickly.

A convolution is linear in its input and in its weight, and so are its gradients: each of the three
ops below has the other two as its derivatives. That makes derivatives of any order, at full speed.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

from tinygrad_norm.autograd import Tensor, op
from tinygrad_norm.backend import xp
from tinygrad_norm.checks.arguments import checked
from tinygrad_norm.checks.kinds import Num, PositiveInt, Same
from tinygrad_norm.checks.sizes import padding_pairs, pair
from tinygrad_norm.engine.broadcasting import sum_over
from tinygrad_norm.fast import replaceable
from tinygrad_norm.nn.functional.window import Windows
from tinygrad_norm.ops.linalg import einsum
from tinygrad_norm.ops.padding import pad
from tinygrad_norm.ops.reduce import wide
from tinygrad_norm.ops.shape import in_own_shape, reshape, unsqueeze

Pair = int | tuple[int, int]
Sizes = tuple[int, ...]


class Geometry(NamedTuple):
    """The windows along height and width, and into how many groups the channels are divided."""

    rows: Windows
    columns: Windows
    groups: int = 1


def conv2d_definition(x: Tensor, weight: Tensor, bias: Tensor | None, *, geometry: Geometry) -> Tensor:
    """out[n, o, h, w] = bias[o] + sum over c, i, j of weight[o, c, i, j] * x[n, c, h*s + i*d - p, w*s + j*d - p].

    With groups, output channel o sees the input channels of its own group only.
    """
    rows, columns, groups = geometry
    x = pad(x, (columns.before, columns.after, rows.before, rows.after))
    x = reshape(x, x.shape[0], groups, -1, *x.shape[2:])
    weight = reshape(weight, groups, -1, *weight.shape[1:])
    terms = []
    for i in range(rows.kernel):
        for j in range(columns.kernel):
            seen = x[..., places(i, rows), places(j, columns)]
            terms.append(einsum("ngchw,goc->ngohw", seen, weight[..., i, j]))
    out = sum(terms[1:], terms[0])
    out = reshape(out, out.shape[0], -1, *out.shape[3:])
    return out if bias is None else out + reshape(bias, -1, 1, 1)


def places(i: int, windows: Windows) -> slice:
    """The inputs that the outputs see at place i of their windows, in the padded input."""
    start = i * windows.dilation
    return slice(start, start + (windows.count - 1) * windows.stride + 1, windows.stride)


# ---- the textbook: windows as columns, and a product of matrices --------------------------
#
#   x, one channel      its columns, one for each window, kernel 2 x 2
#     1 2 3               1 2 4 5     place (0, 0) of each window
#     4 5 6               2 3 5 6     place (0, 1)          out = weight (O, C * kh * kw) @ columns (C * kh * kw, H' * W')
#     7 8 9               4 5 7 8     place (1, 0)
#                         5 6 8 9     place (1, 1)
#
# Chellapilla, Puri and Simard 2006, "High performance convolutional neural networks for document processing".


@replaceable
def batch_innermost(x):
    """x itself; what stands in for this may give it another order in memory."""
    return x


def columns_of(x, geometry):
    """The columns of x (N, C, H, W), as (N, groups, C / groups * kh * kw, H' * W')."""
    rows, columns, groups = geometry
    batch, channels, height, width = x.shape
    padded = xp(x).zeros((batch, channels, height + rows.before + rows.after, width + columns.before + columns.after), x.dtype)
    padded[:, :, rows.before : rows.before + height, columns.before : columns.before + width] = x
    h, w = (
        xp(x).arange(side.kernel)[:, None] * side.dilation + xp(x).arange(side.count) * side.stride for side in (rows, columns)
    )
    seen = padded[:, :, h[:, None, :, None], w[None, :, None, :]]  # (N, C, kh, kw, H', W')
    return seen.reshape(batch, groups, channels // groups * rows.kernel * columns.kernel, rows.count * columns.count)


def image_of(columns, x_shape, geometry):
    """The adjoint of columns_of: each element of the columns is added to where it came from."""
    rows, sides, _ = geometry
    x = xp(columns).zeros(x_shape, columns.dtype)
    seen = columns.reshape(*x_shape[:2], rows.kernel, sides.kernel, rows.count, sides.count)
    for i, (outputs_h, inputs_h) in enumerate(rows.taps):
        for j, (outputs_w, inputs_w) in enumerate(sides.taps):
            x[:, :, inputs_h, inputs_w] += seen[:, :, i, j, outputs_h, outputs_w]
    return x


@replaceable
def convolve(x, weight, geometry):
    """out (N, O, H', W') = weight (O, C / groups, kh, kw) @ columns of x."""
    rows, columns, groups = geometry
    matrix = weight.reshape(groups, len(weight) // groups, -1)
    out = wide(matrix) @ wide(columns_of(x, geometry))
    return out.astype(x.dtype, copy=False).reshape(len(x), len(weight), rows.count, columns.count)


@replaceable
def convolve_weight_gradient(x, g, geometry):
    """The sum over the batch of g @ columns^T."""
    rows, columns, groups = geometry
    seen = g.reshape(len(g), groups, g.shape[1] // groups, rows.count * columns.count)
    matrix = (wide(seen) @ wide(columns_of(x, geometry)).swapaxes(-1, -2)).sum(axis=0)
    return matrix.astype(x.dtype, copy=False).reshape(g.shape[1], x.shape[1] // groups, rows.kernel, columns.kernel)


@replaceable
def convolve_input_gradient(g, weight, geometry):
    """weight^T @ g are the gradients of the columns; they are added where the columns came from."""
    rows, columns, groups = geometry
    matrix = weight.reshape(groups, len(weight) // groups, -1)
    seen = g.reshape(len(g), groups, g.shape[1] // groups, rows.count * columns.count)
    gradients = wide(matrix).swapaxes(-1, -2) @ wide(seen)
    x_shape = (len(g), weight.shape[1] * groups, rows.size, columns.size)
    return image_of(gradients, x_shape, geometry).astype(g.dtype, copy=False)


@op(keeps=("turned",))
def _conv2d(x, weight, bias, *, geometry):
    """out[n, o, i, j] = bias[o] + sum over c, k, l of weight[o, c, k, l] * x[n, c, i * stride + k, j * stride + l]."""
    turned = batch_innermost(x)
    out = convolve(turned, weight, geometry)
    if bias is not None:
        out += bias.reshape(-1, 1, 1)
    return out, turned


@op
def _conv2d_input_gradient(g, weight, *, geometry):
    """The gradient of x, given that of the convolution: each window gets back g * weight."""
    return convolve_input_gradient(g, weight, geometry)


@op
def _conv2d_weight_gradient(x, g, *, geometry):
    """The gradient of the weight: the sum over all windows of g times the window."""
    return convolve_weight_gradient(x, g, geometry)


@_conv2d.joint_vjp
def _conv2d_vjp(g, x, weight, turned, geometry, needs):
    if not isinstance(g, Tensor):
        g, x = batch_innermost(g), turned  # once for both gradients
    gx = _conv2d_input_gradient(g, weight, geometry=geometry) if needs[0] else None
    gweight = _conv2d_weight_gradient(x, g, geometry=geometry) if needs[1] else None
    return gx, gweight, sum_over(g, (0, 2, 3)).reshape(-1) if needs[2] else None


_conv2d_input_gradient.vjp(
    g=lambda g, weight, geometry: _conv2d(g, weight, None, geometry=geometry),
    weight=lambda g_out, g, geometry: _conv2d_weight_gradient(g_out, g, geometry=geometry),
)
_conv2d_weight_gradient.vjp(
    x=lambda g_out, g, geometry: _conv2d_input_gradient(g, g_out, geometry=geometry),
    g=lambda g_out, x, geometry: _conv2d(x, g_out, None, geometry=geometry),
)


@checked("input.ndim in (3, 4)", "O % groups == 0", "min(O, KH, KW) > 0", error=RuntimeError)
def conv2d(
    input: Num[Tensor, "..."],
    weight: Same[Tensor, "O C KH KW"],
    bias: Same[Tensor, "O"] | None = None,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: PositiveInt = 1,
) -> Tensor:
    """Two-dimensional cross-correlation: input (N, C, H, W) or (C, H, W), weight (O, C / groups, kh, kw), bias (O,).

    padding: zeros around the input, or "valid" for none, or "same" for as many as keep the size (stride 1).
    The output has (H + 2 * padding - dilation * (kh - 1) - 1) // stride + 1 rows; columns likewise.

    Raises RuntimeError where shapes, dtypes or groups do not fit, or for a padding it does not know.
    """
    if input.ndim == 3:
        out = conv2d(unsqueeze(input, 0), weight, bias, stride, padding, dilation, groups)
        return in_own_shape(out, out.array.shape[1:])
    if not stride.__class__ is padding.__class__ is dilation.__class__ is int:  # looked up only once it is known what they are
        padding = padding if isinstance(padding, str) else pair(padding, "padding")
        stride, dilation = pair(stride, "stride", 1), pair(dilation, "dilation", 1)
    geometry = _geometry(input.array.shape, weight.array.shape, stride, padding, dilation, groups)
    return _conv2d(input, weight, bias, geometry=geometry)


@functools.lru_cache(maxsize=1024)
def _geometry(shape: Sizes, kernel: Sizes, stride: Pair, padding: Pair | str, dilation: Pair, groups: int) -> Geometry:
    """The windows of conv2d for an input and a weight of these shapes."""
    padding = padding if isinstance(padding, str) else pair(padding, "padding")
    strides, dilations = pair(stride, "stride", 1), pair(dilation, "dilation", 1)
    if shape[1] != kernel[1] * groups:
        raise RuntimeError(
            f"Given groups={groups}, weight of size {list(kernel)}, expected input{list(shape)} to have "
            f"{kernel[1] * groups} channels, but got {shape[1]} channels instead"
        )
    around = padding_pairs(padding, kernel[2:], strides, dilations)
    rows, columns = [
        Windows(size, kernel_size, s, before, after, d)
        for size, kernel_size, s, (before, after), d in zip(shape[2:], kernel[2:], strides, around, dilations)
    ]
    if min(rows.count, columns.count) <= 0:
        reach, room = zip(*((w.dilation * (w.kernel - 1) + 1, w.size + w.before + w.after) for w in (rows, columns)))
        raise RuntimeError(f"Kernel size can't be greater than actual input size: {reach} (dilated), {room} (padded)")
    return Geometry(rows, columns, groups)
