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
        op = self.plan.op
        return op.node_name or "".join(part.capitalize() for part in op.name.split("_")) + "Backward"

    def input_of(self, edge: int) -> tuple[int, str]:
        """The input that an edge leads to: its place among the op's, and its name."""
        position = self.plan.positions[edge]
        return position, self.plan.op.variadic or self.plan.op.inputs[position]

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """For each input, the Node its gradient goes to, and 0: AccumulateGrad for a leaf, None where none is needed."""
        places = dict(zip(self.plan.positions, self.edges))
        count = max(len(self.plan.op.inputs), *(p + 1 for p in places), 0)
        return tuple((_next(places.get(p)), 0) for p in range(count))

    def __repr__(self) -> str:
        return f"<{self.name()} of shape {list(self.shape)}, of {len(self.edges)} differentiable inputs>"


class AccumulateGrad:
    """Where a gradient ends: in `.grad` of the leaf `variable`."""

    next_functions = ()

    def __init__(self, variable: Any) -> None:
        self.variable = variable

    def name(self) -> str:
        """As Node's."""
        return "AccumulateGrad"

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, AccumulateGrad) and other.variable is self.variable

    def __hash__(self) -> int:
        return hash(self.variable)

    def __repr__(self) -> str:
        return f"<AccumulateGrad of shape {list(self.variable.shape)}>"


def _next(edge: Any) -> Any:
    return edge if edge is None or isinstance(edge, Node) else AccumulateGrad(edge)


new_order = itertools.count().__next__  # later Nodes have larger numbers
