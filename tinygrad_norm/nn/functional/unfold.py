"""What convolution of images gives besides: that of sequences, and the windows themselves as columns."""

from __future__ import annotations

from typing import Any

from tinygrad_norm.autograd import Tensor
from tinygrad_norm.checks.arguments import checked
from tinygrad_norm.checks.kinds import Num, PositiveInt, Same
from tinygrad_norm.checks.sizes import pair, single
from tinygrad_norm.nn.functional.conv import Pair, conv2d, places
from tinygrad_norm.nn.functional.window import Windows
from tinygrad_norm.ops.joining import stack
from tinygrad_norm.ops.padding import pad
from tinygrad_norm.ops.shape import in_own_shape, reshape, unsqueeze


@checked("input.ndim in (2, 3)", error=RuntimeError)
def conv1d(
    input: Num[Tensor, "..."],
    weight: Same[Tensor, "O C K"],
    bias: Same[Tensor, "O"] | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: PositiveInt = 1,
) -> Tensor:
    """One-dimensional cross-correlation: input (N, C, L) or (C, L), weight (O, C / groups, k), bias (O,).

    It is conv2d of images of height 1. Arguments and errors are conv2d's.
    """
    strides, dilations = (1, single(stride, "stride")), (1, single(dilation, "dilation"))
    padding = padding if isinstance(padding, str) else (0, single(padding, "padding"))
    out = conv2d(unsqueeze(input, -2), unsqueeze(weight, -2), bias, strides, padding, dilations, groups)
    return in_own_shape(out, (*out.array.shape[:-2], out.array.shape[-1]))


@checked("input.ndim in (3, 4)")
def unfold(input: Num[Tensor, "..."], kernel_size: Pair, dilation: Pair = 1, padding: Pair = 0, stride: Pair = 1) -> Tensor:
    """The windows of (N, C, H, W) as columns: (N, C * kh * kw, number of windows); (C, H, W) likewise."""
    if input.ndim == 3:
        return unfold(unsqueeze(input, 0), kernel_size, dilation, padding, stride)[0]
    kernels, strides = pair(kernel_size, "kernel_size", 1), pair(stride, "stride", 1)
    paddings, dilations = pair(padding, "padding", 0), pair(dilation, "dilation", 1)
    sides = zip(input.array.shape[2:], kernels, strides, paddings, dilations)
    rows, columns = (Windows(size, k, s, p, p, d) for size, k, s, p, d in sides)
    if min(rows.count, columns.count) <= 0:
        raise RuntimeError(f"unfold: windows of {kernel_size}, dilated, are larger than the input, {list(input.shape[2:])}")
    x = pad(input, (columns.before, columns.after, rows.before, rows.after))
    seen = [x[:, :, places(i, rows), places(j, columns)] for i in range(rows.kernel) for j in range(columns.kernel)]
    batch, channels = input.array.shape[:2]
    return reshape(stack(seen, 2), batch, channels * len(seen), rows.count * columns.count)
