"""Adaptive pooling: windows that cover the input evenly."""

from __future__ import annotations

from typing import Any

from tinygrad_norm.autograd import Tensor
from tinygrad_norm.checks.arguments import checked
from tinygrad_norm.checks.kinds import Num
from tinygrad_norm.checks.sizes import pair
from tinygrad_norm.nn.functional.pool import avg_pool2d
from tinygrad_norm.ops.joining import cat
from tinygrad_norm.ops.reduce import mean


@checked("input.ndim in (3, 4)", "0 not in input.shape[-2:]")
def adaptive_avg_pool2d(input: Num[Tensor, "..."], output_size: Any) -> Tensor:
    """The mean of (N, C, H, W) or (C, H, W) over output_size windows that cover it evenly.

    Window i of n runs from floor(i * H / n) to ceil((i + 1) * H / n). A size of None keeps the input's.
    """
    wanted = output_size if isinstance(output_size, (tuple, list)) else (output_size, output_size)
    if len(wanted) != 2:
        raise RuntimeError(f"adaptive_avg_pool2d: output_size must be one number or two, but got {output_size!r}")
    sizes = input.array.shape[-2:]
    counts = tuple(n if w is None else pair(w, "output_size", 0)[0] for w, n in zip(wanted, sizes))
    if 0 not in counts and all(n % c == 0 for n, c in zip(sizes, counts)):
        return avg_pool2d(input, tuple(n // c for n, c in zip(sizes, counts)))
    if 0 in counts:
        return input[..., : counts[0], : counts[1]] * 1
    lines = [_even_parts(n, c) for n, c in zip(sizes, counts)]
    rows = [
        cat([mean(input[..., top:bottom, left:right], (-2, -1), True) for left, right in lines[1]], -1)
        for top, bottom in lines[0]
    ]
    return cat(rows, -2)


def _even_parts(size: int, count: int) -> list[tuple[int, int]]:
    return [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]
