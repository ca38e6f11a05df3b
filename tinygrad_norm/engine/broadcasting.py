"""Broadcasting undone: a gradient is summed over the dimensions along which its input was repeated."""

from __future__ import annotations

from typing import Any

from tinygrad_norm.engine.tensor import Tensor
from tinygrad_norm.sums import total


def sum_over(g: Any, axes: tuple[int, ...]) -> Any:
    """The sum over the axes, kept with size 1, of an array or of a Tensor."""
    return g.sum(axes, True) if isinstance(g, Tensor) else total(g, axes, True)


def sum_to(g: Any, shape: tuple[int, ...]) -> Any:
    """g, summed over the dimensions along which `shape` was broadcast to g's shape."""
    axes = broadcast_axes(shape, g.shape)
    return sum_over(g, axes).reshape(shape) if axes else g


def broadcast_axes(shape: tuple[int, ...], wide: tuple[int, ...]) -> tuple[int, ...]:
    """The dimensions of `wide` along which `shape` was broadcast to it."""
    lead = len(wide) - len(shape)
    return tuple([i for i, n in enumerate(wide) if i < lead or (shape[i - lead] == 1 and n != 1)])
