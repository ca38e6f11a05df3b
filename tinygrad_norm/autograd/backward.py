"""backward and grad: from the newest Node to the oldest."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from tinygrad_norm.autograd.anomaly import check_gradients
from tinygrad_norm.autograd.edits import is_writable, mark_edited
from tinygrad_norm.autograd.errors import mixed_devices, require_kind
from tinygrad_norm.autograd.grad_mode import grad_mode
from tinygrad_norm.autograd.graph import Plan, op
from tinygrad_norm.autograd.node import Node
from tinygrad_norm.autograd.sums import broadcast_axes, sum_to
from tinygrad_norm.autograd.tensor import Tensor, Version, raw, refresh, wrap
from tinygrad_norm.backend import Array, is_array, xp

Target = Any  # where a gradient goes: a Node, or a leaf Tensor
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
    _check_flags("backward", retain_graph=retain_graph, create_graph=create_graph)
    grad_tensors = grad_variables if grad_tensors is None else grad_tensors
    only = None if inputs is None else _sequence(inputs, "inputs")
    if only is not None and not only:
        raise RuntimeError("'inputs' argument to backward cannot be empty")
    roots = _roots(_sequence(tensors, "tensors"), grad_tensors, create_graph)
    for x in only or ():
        x.retain_grad()  # for those that are no leaves: their gradient is left there while the walk passes
    before, grad_mode.at_end = grad_mode.at_end, []
    try:
        gradients = _differentiate(roots, only, retain_graph, create_graph, deposits=True)
        with _depositing:
            _deposit_all(gradients, create_graph)
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
        warnings.warn("only_inputs argument is deprecated and is ignored now (defaults to True)", FutureWarning, stacklevel=2)
    if is_grads_batched:
        raise NotImplementedError("is_grads_batched: call grad() once for each of the cotangents")
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False"
        )
    _check_flags("grad", retain_graph=retain_graph, create_graph=create_graph)
    wanted = _sequence(inputs, "inputs")
    if not wanted:
        raise ValueError("`inputs` argument to `grad()` cannot be empty.")
    for x in wanted:
        if not x.requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    roots = _roots(_sequence(outputs, "outputs"), grad_outputs, create_graph)
    gradients = _differentiate(roots, wanted, retain_graph, create_graph)
    result: list[Any] = [gradients.get(_target(x)) for x in wanted]
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


def _tensor_backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    backward([self], [gradient], retain_graph, create_graph, inputs=inputs)


_tensor_backward.__doc__ = backward.__doc__
Tensor.backward = _tensor_backward  # type: ignore[method-assign, assignment]


# ---- the walk -----------------------------------------------------------------------------


def _differentiate(
    roots: list[tuple[Target, Any]],
    wanted: list[Tensor] | None,
    retain_graph: bool | None,
    create_graph: bool,
    deposits: bool = False,
) -> dict[Target, Tensor]:
    """As _propagate, which runs in the mode that create_graph asks for.

    One call between `try` and `finally`, so that Ctrl-C leaves the mode as it was: between the call of a manager and its
    first line it would not, and Python 3.13 does not run `finally` for one that comes at the jump back of a loop.
    """
    before, grad_mode.enabled = grad_mode.enabled, create_graph
    try:
        return _propagate(roots, wanted, retain_graph, create_graph, deposits)
    finally:
        grad_mode.enabled = before


def _propagate(
    roots: list[tuple[Target, Any]],
    wanted: list[Tensor] | None,
    retain_graph: bool | None,
    create_graph: bool,
    deposits: bool = False,
) -> dict[Target, Tensor]:
    """The final gradients of the leaves, or of `wanted` if given, as Tensors nobody else holds.

    The Nodes are visited from the newest to the oldest: when one is reached, all that used its value have been, and
    what has arrived for it is its final gradient. Its vjps turn that into gradients of its inputs, which are added to what has
    arrived there. What is left at the end belongs to the leaves. (deposits) A leaf with a hook that waits for its `.grad`
    gets it at once when the last Node that leads to it has been visited, and is not in what is returned.
    """
    retain = create_graph if retain_graph is None else retain_graph
    nodes, awaited = _reachable([target for target, _ in roots])
    due = _due(nodes, awaited) if deposits and awaited else None
    captured = {_target(x) for x in wanted or ()}
    leading = None if wanted is None else _leading_to(captured, nodes)  # the Nodes to run; None for all
    needed = None if leading is None else leading | captured
    arrived: dict[Target, Any] = {}  # the sums of the gradients that have come so far
    borrowed: set[Target] = set()  # the leaves whose gradient is also known elsewhere, or a view
    final: dict[Target, Tensor] = {}
    for target, g in roots:
        arrived[target] = arrived[target] + g if target in arrived else g
        borrowed.add(target)
    for node in nodes:
        g = arrived.pop(node, None)
        if g is None:
            continue
        if node.hooks or node.retained is not None:
            g = _observe(node, g, create_graph)
        if node in captured:
            final[node] = _own(g, True)
        if leading is not None and node not in leading:
            continue
        gradients = _gradients(node, g, retain, create_graph, needed)
        if grad_mode.anomaly:
            check_gradients(node, g, gradients)
        if grad_mode.watch is not None:
            grad_mode.watch(node, g, gradients)
        for target, gx in zip(node.edges, gradients):
            if gx is not None:
                _add(target, gx, g, node, arrived, borrowed)
        if due is not None and node in due:
            for leaf in due[node]:
                if leaf in arrived:
                    _deposit_early(leaf, _own(arrived.pop(leaf), leaf in borrowed), create_graph)
    for leaf, g in arrived.items():
        if leaf.__class__ is not Node and (leading is None or leaf in captured) and not _inherits(leaf):
            g = _own(g, leaf in borrowed)
            if due is not None and leaf.awaited:  # nothing leads to it, or what leads to it was not visited
                _deposit_early(leaf, g, create_graph)
            else:
                final[leaf] = _through_hooks(leaf.hooks, g) if leaf.hooks else g
    return final


def _add(target: Target, gx: Any, g: Any, node: Node, arrived: dict[Target, Any], borrowed: set[Target]) -> None:
    """Add gx, which node's vjp made of g, to what has arrived for one of its inputs."""
    if target.__class__ is Node:
        shape, dtype = target.shape, target.dtype
    else:
        shape, dtype = target.array.shape, target.array.dtype
        if gx is g or _is_shared(raw(gx)):
            borrowed.add(target)
    if gx.shape != shape or gx.dtype is not dtype:
        gx = _fit(gx, shape, dtype, node)
    if target in arrived:  # a new array: what has arrived may be known elsewhere
        gx = arrived[target] + gx
        borrowed.discard(target)
    arrived[target] = gx


def _is_shared(array: Array) -> bool:
    """Whether somebody else may know the memory: the array is a view, of a part or not alone in holding what it shows."""
    base = getattr(array, "base", None)
    if base.__class__ is not np.ndarray or base.size != array.size or not array.flags.writeable:
        return base is not None
    del base
    return _references(array) > _ALONE


def _references(array: Array) -> int:
    """How many references there are to the memory's owner; those of the interpreter itself differ between its versions."""
    return sys.getrefcount(array.base)


_ALONE = _references(np.empty(1).reshape(1, 1))


def _gradients(node: Node, g: Any, retain: bool, create_graph: bool, needed: set[Target] | None) -> Sequence[Any]:
    """The gradients of a Node's inputs, given that of its output: one for each edge, None for those not needed.

    Raises RuntimeError where the saved values are gone, or were edited since. They are let go of, unless retained.
    """
    plan, saved = node.plan, node.saved
    if saved is None:
        raise _freed(node)
    if node.guards:
        for slot, version, count in node.guards:
            if version.count != count and (create_graph or slot < plan.used):
                raise _modified(node, slot, version, count)
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
    if needed is None:
        return [vjp(g, *pick(saved)) for vjp, pick in plan.vjps]
    return [vjp(g, *pick(saved)) if edge in needed else None for (vjp, pick), edge in zip(plan.vjps, node.edges)]


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

    Each input is renamed first: where one input depends on another, each keeps its own share.
    """
    value = dict(zip(plan.names, saved))
    inputs = [_same(x) if isinstance(x := value[name], Tensor) and x.needs_grad else x for name in plan.op.inputs]
    settings = {name: value[name] for name in plan.op.settings}
    assert plan.op.definition is not None
    out = plan.op.definition(*inputs, **settings)
    return list(grad([out], [inputs[p] for p in plan.positions], [g], create_graph=True, allow_unused=True))


def _reachable(targets: list[Target]) -> tuple[list[Node], set[Tensor]]:
    """All Nodes that the targets depend on, the newest first; and the leaves among it with a hook that waits for `.grad`."""
    seen = {t for t in targets if t.__class__ is Node}
    awaited = {t for t in targets if t.__class__ is not Node and t.awaited}
    stack = list(seen)
    while stack:
        for edge in stack.pop().edges:
            if edge.__class__ is not Node:
                if edge.awaited:
                    awaited.add(edge)
            elif edge not in seen:
                seen.add(edge)
                stack.append(edge)
    return sorted(seen, key=_order, reverse=True), awaited


def reachable(tensors: Iterable[Tensor]) -> list[Node]:
    """All Nodes that the Tensors depend on, the newest first."""
    return _reachable([_target(x) for x in tensors])[0]


def _due(nodes: list[Node], awaited: set[Tensor]) -> dict[Node, list[Tensor]]:
    """Those leaves by the last Node to be visited that leads to them: after it, no gradient can come for them."""
    due: dict[Node, list[Tensor]] = {}
    left = set(awaited)
    for node in reversed(nodes):
        if found := [edge for edge in dict.fromkeys(node.edges) if edge in left]:
            due[node] = found
            left.difference_update(found)
    return due


def _leading_to(captured: set[Target], nodes: list[Node]) -> set[Target]:
    """The Nodes from which one of the captured targets can be reached."""
    leading: set[Target] = set()
    for node in reversed(nodes):
        if any(edge in leading or edge in captured for edge in node.edges):
            leading.add(node)
    return leading


# ---- gradients on their way ---------------------------------------------------------------


def _own(g: Any, shared: bool) -> Tensor:
    """The gradient as a Tensor whose memory is its own."""
    if isinstance(g, Tensor):
        return g + 0 if shared and g.needs_grad else (wrap(g.array.copy()) if shared else g)
    return wrap(g.copy() if shared else g)


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


def _deposit_all(gradients: dict[Target, Tensor], create_graph: bool) -> None:
    """Each gradient into the `.grad` of its leaf."""
    for leaf, gradient in gradients.items():
        if leaf.__class__ is not Node and leaf.needs_grad:
            _deposit(leaf, gradient, create_graph)


def _deposit(leaf: Tensor, gradient: Tensor, anew: bool) -> None:
    """Add to leaf.grad: in its memory, or (anew) as a new Tensor with a history."""
    old = leaf._grad
    if old is None:
        leaf._grad = gradient
    elif anew or not is_writable(old.array):  # one that was assigned may overlap itself
        leaf._grad = old + gradient
    else:
        old.array += gradient.array
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


# ---- the ends -----------------------------------------------------------------------------


def _check_flags(name: str, **flags: Any) -> None:
    for argument, value in flags.items():
        if value is not None and not (value.__class__ is int and value in (0, 1)):
            require_kind(name, argument, "bool", value)


def _sequence(tensors: Any, name: str) -> list[Tensor]:
    if not isinstance(tensors, (Tensor, Iterable)):
        raise TypeError(f"{name}: expected Tensors, but got {type(tensors).__name__}")
    found = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    for t in found:
        if not isinstance(t, Tensor):
            raise TypeError(f"{name}: expected Tensors, but got {type(t).__name__}")
    return found


def _target(x: Tensor) -> Target:
    refresh(x)
    return x if x.node is None else x.node


def _roots(outputs: list[Tensor], cotangents: Any, create_graph: bool) -> list[tuple[Target, Any]]:
    """Where the walk starts, and with which gradients; everything is checked before it starts."""
    if cotangents is None or isinstance(cotangents, Tensor) or is_array(cotangents):
        cotangents = [cotangents] * (len(outputs) if cotangents is None else 1)
    given = list(cotangents)
    if len(given) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(given)} gradients")
    roots = []
    for i, (out, g) in enumerate(zip(outputs, given)):
        if not out.requires_grad or _inherits(out):
            raise RuntimeError(
                f"element {i} of tensors does not require grad and does not have a grad_fn: "
                "nothing it was computed from has requires_grad=True, or it was computed under no_grad()"
            )
        if g is None:
            if out.array.size != 1:
                raise RuntimeError(
                    f"grad can be implicitly created only for scalar outputs, but got shape {list(out.shape)}: "
                    "give backward() a gradient of that shape, or reduce with .sum() or .mean() first"
                )
            g = wrap(xp(out.array).ones(out.array.shape, out.array.dtype))
        else:
            g = _cotangent(i, out, g)
        roots.append((_target(out), g if create_graph else g.array))
    return roots


def _inherits(x: Tensor) -> bool:
    """Whether x requires grad only by its base, and leads nowhere."""
    return x.view_of is not None and x.view_of.inherits


def _cotangent(i: int, out: Tensor, g: Any) -> Tensor:
    """The gradient that was given for the i-th output, as a Tensor of its shape and dtype."""
    if not isinstance(g, Tensor):
        if not is_array(g):
            raise TypeError(f"gradients can be either Tensors or None, but got {type(g).__name__}: convert it with tensor()")
        g = wrap(g)
    if g.array.shape != out.array.shape:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[{i}] has a shape of {g.shape} and output[{i}] has a shape of {out.shape}."
        )
    if (mixture := mixed_devices("backward", [out.array, g.array])) is not None:
        raise mixture
    return g if g.array.dtype == out.array.dtype else g.to(out.array.dtype)


def _freed(node: Node) -> RuntimeError:
    return RuntimeError(
        f"Trying to backward through the graph a second time ({node.name()}): the saved values "
        "were freed by the first. Specify retain_graph=True there if you need to."
    )


def _modified(node: Node, slot: int, version: Version, count: int) -> RuntimeError:
    plan = node.plan
    what = "output" if plan.names[slot] == "out" else f"input {plan.names[slot]!r}"
    return RuntimeError(
        f"one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"the {what} of {plan.op.name}, saved at version {count}, is now at version {version.count}; "
        f"the last edit was {version.last_edit}. Use the out-of-place form there, or clone() first."
    )
