"""Hooks: what sees a gradient on its way, and what waits for it where it ends.

A Node or a leaf that has any holds them in one `Hooks`, which the walk calls.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from typing import Any

from tinygrad_norm.engine import backward
from tinygrad_norm.engine.op import Node
from tinygrad_norm.engine.tensor import Tensor


class Hooks:
    """The hooks of one Node or leaf.

    seeing: called with the gradient, which they may replace; waiting: called with the leaf when its `.grad` is there;
    retained: a weak reference to the Tensor that retain_grad was called on.
    """

    def __init__(self) -> None:
        self.seeing: dict[int, Callable] = {}
        self.waiting: dict[int, Callable] = {}
        self.retained: weakref.ref[Tensor] | None = None

    def retained_by(self, x: Tensor) -> bool:
        """Whether x has asked for the gradient."""
        return self.retained is not None and self.retained() is x

    def on_gradient(self, g: Any, create_graph: bool) -> Any:
        """The final gradient of a Node, an array or a Tensor, after the hooks; left where retain_grad asked for it."""
        if self.seeing:
            g = self._run(g if create_graph else backward.own(g, True))
            g = g if create_graph else g.array
        if self.retained is not None and (tensor := self.retained()) is not None:
            backward.deposit(tensor, backward.own(g, True), True)
        return g

    def at_leaf(self, g: Tensor) -> Tensor:
        """The gradient of a leaf after the hooks: a copy, since they may have kept what they saw or gave."""
        return backward.own(self._run(g), True) if self.seeing else g

    def _run(self, g: Tensor) -> Tensor:
        """The gradient after each hook has seen it, and perhaps replaced it."""
        for hook in list(self.seeing.values()):
            replacement = hook(g)
            if replacement is not None:
                _require_like(hook, replacement, g)
                g = replacement
        return g

    def deposited(self, leaf: Tensor) -> None:
        """Call the hooks that wait for the gradient of a leaf, which is there now."""
        for hook in list(self.waiting.values()):
            hook(leaf)


def _require_like(hook: Callable, replacement: Any, g: Tensor) -> None:
    """Raise unless what a hook returned can stand for the gradient."""
    name = getattr(hook, "__name__", type(hook).__name__)
    if not isinstance(replacement, Tensor):
        raise TypeError(f"hook {name!r}: expected None or a Tensor as the new gradient, but got {type(replacement).__name__}")
    for what, new, old in (("type", replacement.dtype, g.dtype), ("size", list(replacement.shape), list(g.shape))):
        if new != old:
            raise RuntimeError(f"hook {name!r} has changed the {what} of value: expected {old}, but got {new}")


class RemovableHandle:
    """What registering a hook returns: `remove()`, or leaving a `with` block on it, takes the hook away again."""

    _ids = itertools.count()

    def __init__(self, hooks: dict[int, Any], hook: Any, first: bool = False) -> None:
        self._hooks, self.id = hooks, next(self._ids)
        others: dict[int, Any] = dict(hooks) if first else {}
        if first:
            hooks.clear()
        hooks[self.id] = hook
        hooks.update(others)

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


# ---- methods of Tensor --------------------------------------------------------------------


def hooks_of(target: Any) -> Hooks:
    """The hooks of a Node or a leaf, made when they are asked for."""
    if target.hooks is None:
        target.hooks = Hooks()
    return target.hooks


def register_hook(self: Tensor, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
    """Call `hook(grad)` when the gradient of this Tensor is final; what it returns replaces it."""
    if not self.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    return RemovableHandle(hooks_of(self.grad_fn or self).seeing, hook)


def register_post_accumulate_grad_hook(self: Tensor, hook: Callable[[Tensor], None]) -> RemovableHandle:
    """Call `hook(self)` when `backward` has added the whole gradient to `.grad` of this leaf, and goes on elsewhere."""
    if not self.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    if not self.is_leaf:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    return RemovableHandle(hooks_of(self).waiting, hook)


def retain_grad(self: Tensor) -> None:
    """Have `backward` leave the gradient in `.grad` though this is not a leaf."""
    if not self.requires_grad:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    if (node := self.grad_fn) is not None:
        hooks_of(node).retained = weakref.ref(self)


def retains_grad(self: Tensor) -> bool:
    """Whether `retain_grad` was called, on a Tensor that is no leaf."""
    return self.node is not None and self.node.hooks is not None and self.node.hooks.retained_by(self)


# ---- the graph, as PyTorch shows it -------------------------------------------------------


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


def next_functions(self: Node) -> tuple[tuple[Any, int], ...]:
    """For each input, the Node its gradient goes to, and 0: AccumulateGrad for a leaf, None where none is needed."""
    places = dict(zip(self.plan.positions, self.edges))
    count = max(len(self.plan.op.inputs), *(p + 1 for p in places), 0)
    found = [places.get(p) for p in range(count)]
    return tuple((edge if edge is None or isinstance(edge, Node) else AccumulateGrad(edge), 0) for edge in found)


def input_name(node: Node, position: int) -> str:
    """The name of a Node's input at this position."""
    return node.plan.op.inputs[0 if node.plan.op.variadic else position]


def _shown(self: Node) -> str:
    return f"<{self.name()} of shape {list(self.shape)}, of {len(self.edges)} differentiable inputs>"


Node.next_functions = property(next_functions)  # type: ignore[attr-defined]
Node.__repr__ = _shown  # type: ignore[method-assign, assignment]
