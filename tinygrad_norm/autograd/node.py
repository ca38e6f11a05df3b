"""The Node: one recorded call of an op, and where its gradients go."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np


class Node:
    """One recorded call of an op: what `backward` needs to know of it.

    plan: the op, and what its vjps ask for; edges: for each input that needs a gradient, the Node
    (or the leaf Tensor) it came from; saved: the values that the vjps ask for, None once used;
    guards: (slot, version, count) of each saved value that could be edited later; order: later
    Nodes have larger numbers; shape, dtype: those of the result.
    """

    __slots__ = ("__weakref__", "dtype", "edges", "guards", "hooks", "order", "plan", "retained", "saved", "shape")
    plan: Any
    edges: list[Any]
    saved: list | None
    guards: list[tuple[int, Any, int]]
    order: int
    shape: tuple[int, ...]
    dtype: np.dtype
    hooks: dict[int, Callable] | None
    retained: weakref.ref | None

    def name(self) -> str:
        """What made the Tensor, as PyTorch writes it: MulBackward for mul."""
        return "".join(part.capitalize() for part in self.plan.op.name.split("_")) + "Backward"

    @property
    def next_functions(self) -> tuple[Node | None, ...]:
        """The Nodes this one's gradient goes to; None stands for a leaf."""
        return tuple(edge if isinstance(edge, Node) else None for edge in self.edges)

    def __repr__(self) -> str:
        return f"<{self.name()} of shape {list(self.shape)}, of {len(self.edges)} differentiable inputs>"


new_order = itertools.count().__next__  # later Nodes have larger numbers
