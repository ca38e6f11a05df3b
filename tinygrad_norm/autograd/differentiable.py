"""What `op` makes of a function on arrays, for type checkers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, Protocol

from tinygrad_norm.engine.op import Op
from tinygrad_norm.engine.tensor import Tensor

P = ParamSpec("P")


class Differentiable(Protocol[P]):
    """A function on Tensors, to which derivatives are given."""

    op: Op

    def __call__(self, *inputs: P.args, **settings: P.kwargs) -> Tensor:
        """Compute, and record."""

    def vjp(self, **vjps: Callable[..., Any]) -> None:
        """Give the vjp of each differentiable input, by its name."""

    def joint_vjp(self, vjp: Callable[..., Any]) -> Callable[..., Any]:
        """Give one function that returns the gradients of all inputs."""
