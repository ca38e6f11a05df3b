"""backward and grad: from the newest Node to the oldest."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any

from tinygrad_norm.autograd.anomaly import check_gradients
from tinygrad_norm.autograd.edits import is_writable, mark_edited
from tinygrad_norm.autograd.errors import freed, modified
from tinygrad_norm.autograd.grad_mode import grad_mode
from tinygrad_norm.autograd.graph import Plan, op
from tinygrad_norm.autograd.node import Node
from tinygrad_norm.autograd.requests import check_flags, roots_of, target_of, tensors_of
from tinygrad_norm.autograd.sums import broadcast_axes, sum_to
from tinygrad_norm.autograd.tensor import Tensor, Version, wrap
from tinygrad_norm.backend import Array, is_array, xp
from tinygrad_norm.warn import warn

Target = Any  # where a gradient goes: a Node, or a leaf Tensor, where gradients end
_order = attrgetter("order")


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Tensor | Sequence[Tensor | None] | None = None,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Add the gradients of `tensors` to `.grad` of the leaves they depend on, or of `inputs` only.

    grad_tensors: a cotangent per tensor, of its shape; 1 for a tensor of one element.
    retain_graph: keep what the vjps need for a second call; default: as create_graph.
    create_graph: record the computation of the gradients, to differentiate them again.
    grad_variables: the old name of grad_tensors.

    A gradient that is there already is added to in its own memory, unless create_graph.
    """
    grad_tensors = grad_variables if grad_tensors is None else grad_tensors
    _backward(tensors_of(tensors, "tensors"), grad_tensors, retain_graph, create_graph, inputs)


def _tensor_backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    _backward([self], [gradient], retain_graph, create_graph, inputs)


_tensor_backward.__doc__ = """Add the gradient of this Tensor to `.grad` of the leaves it depends on, or of `inputs` only.

    gradient: the cotangent, of this Tensor's shape; 1 for a tensor of one element.
    retain_graph: keep what the vjps need for a second call; default: as create_graph.
    create_graph: record the computation of the gradients, to differentiate them again.

    A gradient that is there already is added to in its own memory, unless create_graph.
    """
Tensor.backward = _tensor_backward  # type: ignore[method-assign, assignment]


def _backward(outputs: list[Tensor], cotangents: Any, retain: Any, create_graph: Any, inputs: Any) -> None:
    if retain is not None or create_graph.__class__ is not bool:
        check_flags("backward", retain_graph=retain, create_graph=create_graph)
    only = None if inputs is None else tensors_of(inputs, "inputs")
    if only is not None and not only:
        raise RuntimeError("'inputs' argument to backward cannot be empty")
    roots = roots_of(outputs, cotangents, create_graph)
    for x in only or ():
        x.retain_grad()  # for those that are no leaves: their gradient is left there while the walk passes
    before, grad_mode.at_end = grad_mode.at_end, []
    try:
        gradients = _differentiate(roots, only, retain, create_graph, deposits=True)
        with _depositing:
            for leaf, gradient in gradients.items():
                if leaf.__class__ is not Node and leaf.needs_grad:
                    if leaf._grad is None:
                        leaf._grad = gradient
                    else:
                        _deposit(leaf, gradient, create_graph)
        callbacks = grad_mode.at_end
    finally:
        grad_mode.at_end = before
    for callback in callbacks:
        callback()


def call_at_end(callback: Callable[[], None]) -> bool:
    """Call it when the backward() that is running has left all gradients; False, and no call, outside of one."""
    if grad_mode.at_end is None:
        return False
    grad_mode.at_end.append(callback)
    return True


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of `outputs` with respect to `inputs`, as values; no `.grad` is touched.

    allow_unused: None for an input that outputs do not depend on, in place of a RuntimeError;
    materialize_grads: zeros for it.
    """
    if not only_inputs:
        warn("only_inputs argument is deprecated and is ignored now (defaults to True)", FutureWarning)
    if is_grads_batched:
        raise NotImplementedError("is_grads_batched: call grad() once for each of the cotangents")
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False"
        )
    check_flags("grad", retain_graph=retain_graph, create_graph=create_graph)
    wanted = tensors_of(inputs, "inputs")
    if not wanted:
        raise ValueError("`inputs` argument to `grad()` cannot be empty.")
    for x in wanted:
        if not x.requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    roots = roots_of(tensors_of(outputs, "outputs"), grad_outputs, create_graph)
    gradients = _differentiate(roots, wanted, retain_graph, create_graph)
    result: list[Any] = [gradients.get(target_of(x)) for x in wanted]
    seen: set[int] = set()
    for i, (x, gradient) in enumerate(zip(wanted, result)):
        if gradient is not None and id(gradient) in seen:  # x was given twice
            result[i] = _own(gradient, True)
        elif gradient is not None:
            seen.add(id(gradient))
        elif materialize_grads:
            result[i] = wrap(xp(x.array).zeros(x.array.shape, x.array.dtype))
        elif not allow_unused:
            raise RuntimeError(
                "One of the differentiated Tensors appears to not have been used in the graph. "
                "Set allow_unused=True if this is the desired behavior."
            )
    return tuple(result)


# ---- the walk -----------------------------------------------------------------------------


def _differentiate(
    roots: list[tuple[Target, Any]],
    wanted: list[Tensor] | None,
    retain_graph: bool | None,
    create_graph: bool,
    deposits: bool = False,
) -> dict[Target, Tensor]:
    """As _walk, which runs in the mode that create_graph asks for.

    One call between `try` and `finally`, so that Ctrl-C leaves the mode as it was: between the call of a manager and its
    first line it would not, and Python 3.13 does not run `finally` for one that comes at the jump back of a loop.
    """
    before, grad_mode.enabled = grad_mode.enabled, create_graph
    try:
        return _walk(roots, wanted, create_graph if retain_graph is None else retain_graph, create_graph, deposits)
    finally:
        grad_mode.enabled = before


def _walk(
    roots: list[tuple[Target, Any]], wanted: list[Tensor] | None, retain: bool, create_graph: bool, deposits: bool
) -> dict[Target, Tensor]:
    """The final gradients of the leaves, or of `wanted` if given, as Tensors nobody else holds.

    The Nodes are visited from the newest to the oldest: when one is reached, all that used its value have been, and what has
    arrived for it is its final gradient. Its vjps turn that into gradients of its inputs, which are added to what has arrived
    there. What is left at the end belongs to the leaves.

    deposits: a leaf with a hook that waits for its `.grad` gets it as soon as all its uses have been visited.
    A gradient that somebody else knows too goes to a leaf as a view, so that _own() copies it.
    """
    nodes, uses = _reachable(roots)
    captured = {target_of(x) for x in wanted} if wanted is not None else set()
    leading = None if wanted is None else _leading_to(captured, nodes)  # the Nodes to run; None for all
    needed = None if leading is None else leading | captured
    arrived: dict[Target, Any] = {}  # the sums of the gradients that have come so far
    final: dict[Target, Tensor] = {}
    for target, g in roots:
        arrived[target] = arrived[target] + g if target in arrived else g if target.__class__ is Node else g[...]
    for node in nodes:
        g = arrived.pop(node, None)
        if g is not None:
            if node.hooks or node.retained is not None:
                g = _observe(node, g, create_graph)
            if node in captured:
                final[node] = _own(g, True)
        if g is not None and (leading is None or node in leading):
            gradients = _gradients(node, g, retain, create_graph, needed)
            if grad_mode.anomaly:
                check_gradients(node, g, gradients)
            if grad_mode.watch is not None:
                grad_mode.watch(node, g, gradients)
            last = g
            for target, gx in zip(node.edges, gradients):
                if gx is None:
                    continue
                like = target if target.__class__ is Node else target.array
                if gx.shape != like.shape or gx.dtype is not like.dtype:
                    gx = _fit(gx, like.shape, like.dtype, node)
                if target in arrived:  # a new array: what has arrived may be known elsewhere
                    arrived[target] = arrived[target] + gx
                else:
                    arrived[target] = gx[...] if (gx is g or gx is last) and like is not target else gx
                last = gx
        if uses and deposits:
            for leaf in _used_up(node, uses):
                if leaf in arrived:
                    _deposit_early(leaf, _own(arrived.pop(leaf)), create_graph)
    for leaf, g in arrived.items():
        if leaf.__class__ is Node or (leading is not None and leaf not in captured):
            continue
        if leaf.view_of is None or not leaf.view_of.inherits:
            if deposits and leaf.awaited:  # nothing leads to it
                _deposit_early(leaf, _own(g), create_graph)
            else:
                final[leaf] = _through_hooks(leaf.hooks, _own(g)) if leaf.hooks else _own(g)
    return final


def _reachable(roots: list[tuple[Target, Any]]) -> tuple[list[Node], dict[Tensor, int]]:
    """All Nodes that the roots depend on, the newest first; and the uses of each leaf with a hook that waits for `.grad`."""
    seen: set[Node] = set()
    uses: dict[Tensor, int] = {}
    stack: list[Node] = []
    for target, _ in roots:
        if target.__class__ is Node and target not in seen:
            seen.add(target)
            stack.append(target)
    while stack:
        for edge in stack.pop().edges:
            if edge.__class__ is not Node:
                if edge.awaited:
                    uses[edge] = uses.get(edge, 0) + 1
            elif edge not in seen:
                seen.add(edge)
                stack.append(edge)
    return sorted(seen, key=_order, reverse=True), uses


def _used_up(node: Node, uses: dict[Tensor, int]) -> Iterable[Tensor]:
    """The leaves whose last use was that by this Node: no further gradient can come for them."""
    for edge in node.edges:
        if edge in uses:
            uses[edge] -= 1
            if not uses[edge]:
                yield edge


def reachable(tensors: Iterable[Tensor]) -> list[Node]:
    """All Nodes that the Tensors depend on, the newest first."""
    return _reachable([(target_of(x), None) for x in tensors])[0]


def _leading_to(captured: set[Target], nodes: list[Node]) -> set[Target]:
    """The Nodes from which one of the captured targets can be reached."""
    leading: set[Target] = set()
    for node in reversed(nodes):
        if any(edge in leading or edge in captured for edge in node.edges):
            leading.add(node)
    return leading


def _gradients(node: Node, g: Any, retain: bool, create_graph: bool, needed: set[Target] | None) -> Sequence[Any]:
    """The gradients of a Node's inputs, given that of its output: one for each edge, None for those not needed.

    Raises RuntimeError where the saved values are gone, or were edited since. They are let go of, unless retained.
    """
    plan, saved = node.plan, node.saved
    if saved is None:
        raise freed(node)
    if node.guards:
        for slot, version, count in node.guards:
            if version.count != count and (create_graph or slot < plan.used):
                raise modified(node, slot, version, count)
        if not retain:
            node.saved = None
    if create_graph:
        saved = _as_tensors(node, saved)
        if plan.op.definition is not None:
            return _needed(needed, node, _through_definition(plan, saved, g))
    if plan.joint:
        vjp, pick = plan.vjps[0]
        given = vjp(g, *pick(saved))
        return _needed(needed, node, given if len(given) == len(node.edges) else [given[p] for p in plan.positions])
    if len(plan.vjps) == 1:
        vjp, pick = plan.vjps[0]
        return (vjp(g, *pick(saved)),)
    gradients: list[Any] = []
    for (vjp, pick), edge in zip(plan.vjps, node.edges):
        gradients.append(vjp(g, *pick(saved)) if needed is None or edge in needed else None)
    return gradients


def _needed(needed: set[Target] | None, node: Node, gradients: Sequence[Any]) -> Sequence[Any]:
    return gradients if needed is None else [gx if edge in needed else None for gx, edge in zip(gradients, node.edges)]


def _as_tensors(node: Node, saved: list) -> list:
    """The saved values with the histories they had when they were saved."""
    plan, values = node.plan, list(saved)
    versions = {slot: version for slot, version, _ in node.guards}

    def edge(position: int) -> Target:
        return node.edges[plan.edge_of[position]] if position in plan.edge_of else None

    for slot, (kind, key) in enumerate(plan.sources):
        if kind == "input" and is_array(saved[slot]):
            values[slot] = _restored(saved[slot], edge(key), versions.get(slot))
        elif kind == "inputs":
            values[slot] = [_restored(a, edge(p), None) if is_array(a) else a for p, a in enumerate(saved[slot])]
        elif kind == "out":
            values[slot] = _restored(saved[slot], node, versions[slot])
    return values


def _restored(array: Array, edge: Target, version: Version | None) -> Tensor:
    if isinstance(edge, Tensor):
        return edge
    tensor = wrap(array)
    tensor.version = version or tensor.version
    tensor.node, tensor.needs_grad = edge, edge is not None
    return tensor


@op
def _same(x: Any) -> Any:
    return x


_same.vjp(x=lambda g: g)


def _through_definition(plan: Plan, saved: list, g: Tensor) -> list:
    """The gradients of a fused op by way of its definition, so that they can be differentiated.

    Each input passes through an identity op first, so that an input computed from another one gets only its own gradient.
    """
    value = dict(zip(plan.names, saved))
    inputs = [_same(x) if isinstance(x := value[name], Tensor) and x.needs_grad else x for name in plan.op.inputs]
    settings = {name: value[name] for name in plan.op.settings}
    assert plan.op.definition is not None
    out = plan.op.definition(*inputs, **settings)
    return list(grad([out], [inputs[p] for p in plan.positions], [g], create_graph=True, allow_unused=True))


# ---- gradients on their way ---------------------------------------------------------------


def _own(g: Any, known: bool = False) -> Tensor:
    """The gradient as a Tensor whose memory is its own: a copy of a view, and of what is known elsewhere."""
    array = g.array if isinstance(g, Tensor) else g
    if not known and getattr(array, "base", None) is None:
        return g if isinstance(g, Tensor) else wrap(g)
    return g + 0 if isinstance(g, Tensor) and g.needs_grad else wrap(array.copy())


def _observe(node: Node, g: Any, create_graph: bool) -> Any:
    """Run the hooks on a final gradient and leave it where retain_grad asked for it."""
    if node.hooks:
        seen = _through_hooks(node.hooks, g if create_graph else _own(g, True))
        g = seen if create_graph else seen.array
    if node.retained is not None and (tensor := node.retained()) is not None:
        with _depositing:
            _deposit(tensor, _own(g, True), True)
    return g


def _through_hooks(hooks: dict[int, Callable], g: Tensor) -> Tensor:
    """The gradient after each hook has seen it, and perhaps replaced it."""
    for hook in list(hooks.values()):
        replacement = hook(g)
        if replacement is None:
            continue
        name = getattr(hook, "__name__", type(hook).__name__)
        if not isinstance(replacement, Tensor):
            raise TypeError(
                f"hook {name!r}: expected None or a Tensor as the new gradient, but got {type(replacement).__name__}"
            )
        for what, new, old in (("type", replacement.dtype, g.dtype), ("size", list(replacement.shape), list(g.shape))):
            if new != old:
                raise RuntimeError(f"hook {name!r} has changed the {what} of value: expected {old}, but got {new}")
        g = replacement
    return g


def _fit(gx: Any, shape: tuple[int, ...], dtype: Any, node: Node) -> Any:
    """Undo broadcasting and promotion: the gradient in the shape and dtype of its input."""
    if gx.shape != shape:
        if not node.plan.op.broadcasts:
            spread = broadcast_axes(shape, gx.shape) if gx.ndim >= len(shape) else ()
            unsummed = f"not summed over the broadcast dims {spread}? " if spread else ""
            raise RuntimeError(
                f"{node.name()} returned a gradient of shape {list(gx.shape)} for an input of shape {list(shape)}: "
                f"{unsummed}Its vjp has to give the input's shape, or the op has to be declared with broadcasts=True"
            )
        if gx.ndim < len(shape):
            gx = gx + _zeros(gx, shape)
        gx = sum_to(gx, shape)
        if gx.shape != shape:  # a vjp that gave a number, or less than the input's shape
            gx = gx + _zeros(gx, shape)
    if gx.dtype != dtype:
        gx = gx.to(dtype) if isinstance(gx, Tensor) else gx.astype(dtype)
    return gx


def _zeros(like: Any, shape: tuple[int, ...]) -> Any:
    array = like.array if isinstance(like, Tensor) else like
    return xp(array).zeros(shape, array.dtype)


_depositing = threading.Lock()  # two threads may add to one .grad


def _renew_lock() -> None:
    """In a process that was forked: the thread that held it is not there."""
    global _depositing
    _depositing = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def _deposit(leaf: Tensor, gradient: Tensor, anew: bool) -> None:
    """Add to leaf.grad: in its memory, or (anew) as a new Tensor with a history."""
    old = leaf._grad
    if old is None:
        leaf._grad = gradient
    elif anew or not (getattr(old.array.flags, "carray", False) or is_writable(old.array)):  # one that was assigned
        leaf._grad = old + gradient
    else:
        old.array += gradient.array
        if old._edits is not None:
            mark_edited(old, "backward")


def _deposit_early(leaf: Tensor, gradient: Tensor, create_graph: bool) -> None:
    """The gradient of a leaf into its `.grad`, and then the hooks that wait for it there."""
    if not leaf.needs_grad:  # any more
        return
    gradient = _through_hooks(leaf.hooks, gradient) if leaf.hooks else gradient
    with _depositing:
        _deposit(leaf, gradient, create_graph)
    for hook in list((leaf.awaited or {}).values()):
        hook(leaf)
