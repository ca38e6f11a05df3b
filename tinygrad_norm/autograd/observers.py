"""Observers: what is told of each op that is recorded, each edit, and each step of the walk. The engine has them at [5]."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tinygrad_norm.engine.op import Node
from tinygrad_norm.engine.tensor import Tensor, thread


class Observer:
    """In a `with` block: sees what the engine does in this thread. A subclass overrides what it wants to be told of."""

    def __enter__(self) -> Any:
        thread.observers = (*thread.observers, self)
        return self

    def __exit__(self, *exception: Any) -> None:
        thread.observers = tuple(see for see in thread.observers if see is not self)

    def recorded(self, node: Node, inputs: Sequence, settings: Mapping, result: Tensor) -> None:
        """An op was called and left this Node; the result does not have it yet."""

    def edited(self, x: Tensor, name: str) -> None:
        """The memory of x was edited by the method `name`. A new history, if it gets one, comes after this."""

    def around(self, walk: Callable) -> Callable:
        """A walk begins: what is called with its arguments, see the engine's `_walk`, in its place."""
        return walk

    def walked(self, node: Node, g: Any, gradients: Sequence) -> None:
        """The vjps of a Node turned g, after its hooks, into these gradients of its inputs; None where none was needed."""
