"""backward and grad: from the newest Node to the oldest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from tinygrad_norm.autograd.errors import mixed_devices
from tinygrad_norm.autograd.graph import Node, Plan, op
from tinygrad_norm.autograd.mode import mode
from tinygrad_norm.autograd.tensor import Tensor, refresh, wrap
from tinygrad_norm.backend import Array, is_array, xp

Target = Any  # where a gradient goes: a Node, or a leaf Tensor
_order = attrgetter("order")


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Add the gradients of `tensors` to `.grad` of the leaves they depend on, or of `inputs` only.

    grad_tensors: a cotangent per tensor, of its shape; 1 for a tensor of one element.
    retain_graph: keep what the vjps need for a second call; default: as create_graph.
    create_graph: record the computation of the gradients, to differentiate them again.
    """
    only = None if inputs is None else _sequence(inputs)
    if only is not None and not only:
        raise RuntimeError("'inputs' argument to backward cannot be empty")
    roots = _roots(_sequence(tensors), grad_tensors, create_graph)
    gradients = _propagate(roots, only, retain_graph, create_graph)
    for leaf in gradients if only is None else only:
        gradient = gradients.get(leaf if only is None else _target(leaf))
        if gradient is not None:
            _deposit(leaf, gradient)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of `outputs` with respect to `inputs`, as values; no `.grad` is touched.

    Raises RuntimeError for an input that outputs do not depend on, unless allow_unused (then None).
    """
    wanted = _sequence(inputs)
    for x in wanted:
        if not x.requires_grad:
            raise RuntimeError("one of the differentiated Tensors does not require grad")
    roots = _roots(_sequence(outputs), grad_outputs, create_graph)
    gradients = _propagate(roots, wanted, retain_graph, create_graph)
    result = [gradients.get(_target(x)) for x in wanted]
    if not allow_unused and any(gradient is None for gradient in result):
        raise RuntimeError(
            "one of the differentiated Tensors appears to not have been used in the graph. "
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
    backward([self], [gradient], retain_graph, create_graph, inputs)


_tensor_backward.__doc__ = backward.__doc__
Tensor.backward = _tensor_backward  # type: ignore[attr-defined]


# ---- the walk -----------------------------------------------------------------------------


def _propagate(
    roots: list[tuple[Target, Any]], wanted: list[Tensor] | None, retain_graph: bool | None, create_graph: bool
) -> dict[Target, Tensor]:
    """The final gradients of the leaves, or of `wanted` if given, as Tensors nobody else holds."""
    retain = create_graph if retain_graph is None else retain_graph
    nodes = _reachable([target for target, _ in roots])
    needed: set[Target] | None = None
    captured: set[Target] = set()
    if wanted is not None:
        captured = {_target(x) for x in wanted}
        needed = _leading_to(captured, nodes)
    gradients: dict[Target, Any] = {}
    borrowed: set[Target] = set()  # those whose gradient is also known elsewhere, or a view
    for target, g in roots:
        if target in gradients:
            g = gradients[target] + g
        gradients[target] = g
        borrowed.add(target)
    final: dict[Target, Tensor] = {}
    before, mode.enabled = mode.enabled, create_graph
    try:
        for node in nodes:
            g = gradients.pop(node, None)
            if g is None:
                continue
            if node.hooks or node.retained is not None:
                g = _observe(node, g, create_graph)
            if needed is not None:
                if node in captured:
                    final[node] = _own(g, True)
                if node not in needed:
                    continue
            plan, saved = node.plan, _checked_saved(node, create_graph)
            if create_graph:
                saved = _as_tensors(node, saved)
            given = None
            if create_graph and plan.op.definition is not None:
                given = _through_definition(plan, saved, g)
            elif plan.joint:
                vjp, pick = plan.vjps[0]
                given = vjp(g, *pick(saved))
                if len(given) != len(node.edges):
                    given = [given[p] for p in plan.positions]
            if not retain and node.guards:
                node.saved = None
            for k, target in enumerate(node.edges):
                if needed is not None and target not in needed:
                    continue
                if given is not None:
                    gx = given[k]
                else:
                    vjp, pick = plan.vjps[k]
                    gx = vjp(g, *pick(saved))
                if gx is None:
                    continue
                if isinstance(target, Node):
                    shape, dtype = target.shape, target.dtype
                else:
                    shape, dtype = target.array.shape, target.array.dtype
                    if gx is g or getattr(gx.array if create_graph else gx, "base", None) is not None:
                        borrowed.add(target)
                if gx.shape != shape or gx.dtype is not dtype:
                    gx = _fit(gx, shape, dtype, node)
                if target in gradients:  # a new array: what has arrived may be known elsewhere
                    gx = gradients[target] + gx
                    borrowed.discard(target)
                gradients[target] = gx
        for leaf, g in gradients.items():
            if leaf.__class__ is not Node:
                g = _own(g, leaf in borrowed)
                if leaf.hooks:
                    for hook in list(leaf.hooks.values()):
                        g = _hooked(hook, g)
                final[leaf] = g
    finally:
        mode.enabled = before
    return final


def _checked_saved(node: Node, create_graph: bool) -> list:
    """The saved values. Raises RuntimeError if they are gone, or were edited since they were saved."""
    if node.saved is None:
        raise RuntimeError(
            f"Trying to backward through the graph a second time ({node.name()}): the saved values "
            "were freed by the first. Specify retain_graph=True there if you need to."
        )
    for slot, counter, version in node.guards:
        if counter[0] != version and (create_graph or slot < node.plan.used):
            raise _modified(node, slot, counter, version)
    return node.saved


def _as_tensors(node: Node, saved: list) -> list:
    """The saved values with the histories they had when they were saved."""
    plan, values = node.plan, list(saved)
    counters = {slot: counter for slot, counter, _ in node.guards}

    def edge(position: int) -> Target:
        return node.edges[plan.edge_of[position]] if position in plan.edge_of else None

    for slot, (kind, key) in enumerate(plan.sources):
        if kind == "input" and is_array(saved[slot]):
            values[slot] = _restored(saved[slot], edge(key), counters.get(slot))
        elif kind == "inputs":
            values[slot] = [_restored(a, edge(p), None) if is_array(a) else a for p, a in enumerate(saved[slot])]
        elif kind == "out":
            values[slot] = _restored(saved[slot], node, counters[slot])
    return values


def _restored(array: Array, edge: Target, counter: list | None) -> Tensor:
    if isinstance(edge, Tensor):
        return edge
    tensor = wrap(array)
    tensor.counter = counter or tensor.counter
    tensor.node, tensor.requires_grad = edge, edge is not None
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
    inputs = [_same(x) if isinstance(x := value[name], Tensor) and x.requires_grad else x for name in plan.op.inputs]
    settings = {name: value[name] for name in plan.op.settings}
    assert plan.op.definition is not None
    out = plan.op.definition(*inputs, **settings)
    return list(grad([out], [inputs[p] for p in plan.positions], [g], create_graph=True, allow_unused=True))


def _reachable(targets: list[Target]) -> list[Node]:
    """All Nodes that the targets depend on, the newest first."""
    seen = {t for t in targets if t.__class__ is Node}
    stack = list(seen)
    while stack:
        for edge in stack.pop().edges:
            if edge.__class__ is Node and edge not in seen:
                seen.add(edge)
                stack.append(edge)
    return sorted(seen, key=_order, reverse=True)


def _leading_to(captured: set[Target], nodes: list[Node]) -> set[Target]:
    """The captured targets and the Nodes from which one of them can be reached."""
    needed = set(captured)
    leading = set()
    for node in reversed(nodes):
        if any(edge in needed for edge in node.edges):
            needed.add(node)
            leading.add(node)
    return leading | captured


# ---- gradients on their way ---------------------------------------------------------------


def _own(g: Any, shared: bool) -> Tensor:
    """The gradient as a Tensor whose memory is its own."""
    if isinstance(g, Tensor):
        return g + 0 if shared and g.requires_grad else (wrap(g.array.copy()) if shared else g)
    return wrap(g.copy() if shared else g)


def _observe(node: Node, g: Any, create_graph: bool) -> Any:
    """Run the hooks on a final gradient and leave it where retain_grad asked for it."""
    for hook in list((node.hooks or {}).values()):
        seen = _hooked(hook, g if create_graph else _own(g, True))
        g = seen if create_graph else seen.array
    if node.retained is not None and (tensor := node.retained()) is not None:
        tensor.grad = _own(g, True)
    return g


def _hooked(hook: Callable, g: Tensor) -> Tensor:
    replacement = hook(g)
    if replacement is None:
        return g
    if replacement.array.shape != g.array.shape:
        raise RuntimeError(
            f"hook {getattr(hook, '__name__', hook)!r} has changed the size of the gradient: "
            f"expected {list(g.shape)}, but got {list(replacement.shape)}"
        )
    return replacement


def _fit(gx: Any, shape: tuple[int, ...], dtype: Any, node: Node) -> Any:
    """Undo broadcasting and promotion: the gradient in the shape and dtype of its input."""
    if gx.shape != shape:
        if not node.plan.op.broadcasts:
            raise RuntimeError(
                f"{node.name()} returned a gradient of shape {list(gx.shape)} for an input of shape {list(shape)}: "
                "its vjp has to give the input's shape, or the op has to be declared with broadcasts=True"
            )
        lead = gx.ndim - len(shape)
        gx = gx + _zeros(gx, shape) if lead < 0 else gx
        axes = tuple(i for i in range(gx.ndim) if i < lead or (shape[i - lead] == 1 and gx.shape[i] != 1))
        if axes:
            gx = gx.sum(axis=axes, keepdims=True).reshape(shape)
        if gx.shape != shape:  # a vjp that gave a number, or less than the input's shape
            gx = gx + _zeros(gx, shape)
    if gx.dtype != dtype:
        gx = gx.to(dtype) if isinstance(gx, Tensor) else gx.astype(dtype)
    return gx


def _zeros(like: Any, shape: tuple[int, ...]) -> Any:
    array = like.array if isinstance(like, Tensor) else like
    return xp(array).zeros(shape, array.dtype)


def _deposit(leaf: Tensor, gradient: Tensor) -> None:
    leaf.grad = gradient if leaf.grad is None else leaf.grad + gradient


# ---- the ends -----------------------------------------------------------------------------


def _sequence(tensors: Tensor | Sequence[Tensor]) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _target(x: Tensor) -> Target:
    refresh(x)
    return x if x.node is None else x.node


def _roots(outputs: list[Tensor], cotangents: Any, create_graph: bool) -> list[tuple[Target, Any]]:
    """Where the walk starts, and with which gradients; everything is checked before it starts."""
    given = [None] * len(outputs) if cotangents is None else _sequence(cotangents)
    if len(given) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(given)} gradients")
    roots = []
    for i, (out, g) in enumerate(zip(outputs, given)):
        if not out.requires_grad:
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


def _cotangent(i: int, out: Tensor, g: Any) -> Tensor:
    """The gradient that was given for the i-th output, as a Tensor of its shape and dtype."""
    if not isinstance(g, Tensor):
        g = wrap(xp(out.array).asarray(g))
    if g.array.shape != out.array.shape:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[{i}] has a shape of {g.shape} and output[{i}] has a shape of {out.shape}."
        )
    if (mixture := mixed_devices("backward", [out.array, g.array])) is not None:
        raise mixture
    return g if g.array.dtype == out.array.dtype else g.to(out.array.dtype)


def _modified(node: Node, slot: int, counter: list, version: int) -> RuntimeError:
    plan = node.plan
    what = "output" if plan.names[slot] == "out" else f"input {plan.names[slot]!r}"
    return RuntimeError(
        f"one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"the {what} of {plan.op.name}, saved at version {version}, is now at version {counter[0]}; "
        f"the last edit was {counter[1]}. Use the out-of-place form there, or clone() first."
    )
