"""The walk: from the newest Node to the oldest.

`loss.backward()` checks what it is asked for (autograd/requests.py) and calls `differentiate`. That finds the gradients in one
walk through the graph (`_walk`) and leaves them in `.grad` of the leaves (`deposit`); `autograd.grad` returns them instead.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from tinygrad_norm.backend import apart, is_writable, raw, xp
from tinygrad_norm.checks.errors import explain_vjp, freed, modified, not_its_shape, not_one_for_each
from tinygrad_norm.engine.broadcasting import sum_to
from tinygrad_norm.engine.op import Node
from tinygrad_norm.engine.tensor import Tensor, mark_edited, thread, wrap

Target = Any  # where a gradient goes: a Node, or a leaf Tensor, where gradients end
Roots = Sequence[tuple[Target, Any]]  # where a walk starts, and with which gradients


def target_of(x: Tensor) -> Target:
    """Where the gradient of x goes."""
    if x.view_of is not None:
        x.view_of.refresh(x)  # [1]
    return x if x.node is None else x.node


def differentiate(
    roots: Roots, wanted: Sequence[Tensor] | None, retain: bool, create_graph: bool, deposits: bool = False
) -> dict[Target, Tensor]:
    """As _walk, which runs in the mode that create_graph asks for; deposits: the gradients are left in `.grad` of the leaves.

    `try` and `finally`, and no context manager: Ctrl-C could fall between entering a manager and its first line. One call
    between them, since Python 3.13 does not run `finally` for a Ctrl-C at the jump back of a loop.
    """
    walk = _walk
    for see in thread.observers:
        walk = see.around(walk)  # [5]
    before, thread.recording = thread.recording, create_graph
    try:
        return walk(roots, wanted, retain, create_graph, deposits)
    except AttributeError as error:
        explain_vjp(error)  # [3]
        raise
    finally:
        thread.recording = before


def _walk(roots: Roots, wanted: Any, retain: bool, create_graph: bool, deposits: bool) -> dict[Target, Tensor]:
    """The final gradients of the leaves, or of `wanted` if given, as Tensors nobody else holds.

    The Nodes are visited from the newest to the oldest: when one is reached, all that used its value have been, and what has
    arrived for it is its final gradient. Its vjps turn that into gradients of its inputs, which are added to what has arrived
    there. What is left at the end belongs to the leaves.

    deposits: a leaf with a hook that waits for its `.grad` gets it as soon as all its uses have been visited.
    A gradient array that is known elsewhere too goes to a leaf as a view, so that own() copies it.
    """
    (nodes, uses), observers = reachable(roots), thread.observers
    captured: set[Target] = set(map(target_of, wanted or ()))
    needed = None if wanted is None else leading_to(captured, nodes)  # the targets that have to get a gradient; None for all
    arrived: dict[Target, Any] = {}  # the sums of the gradients that have come so far
    final: dict[Target, Tensor] = {}
    for target, g in roots:
        if needed is None or target in needed:
            g = g if target.__class__ is Node else g[...]
            arrived[target] = arrived[target] + g if target in arrived else g
    for node in nodes:
        if (g := arrived.pop(node, None)) is not None:
            if node.hooks is not None:
                g = node.hooks.on_gradient(g, create_graph)  # [4]
            if node in captured:
                final[node] = own(g, True)
            gradients = _gradients(node, g, retain, create_graph, needed)
            for see in observers if gradients else ():
                see.walked(node, g, gradients)  # [5]
            last = g
            for target, gx in zip(node.edges, gradients):
                if gx is None or (needed is not None and target not in needed):
                    continue
                like = target if target.__class__ is Node else target.array
                if gx.shape != like.shape or gx.dtype is not like.dtype:
                    gx = fit(gx, like.shape, like.dtype, node)
                if target in arrived:  # a new array: what has arrived may be known elsewhere
                    arrived[target] = arrived[target] + gx
                else:
                    arrived[target] = gx[...] if (gx is g or gx is last) and like is not target else gx
                last = gx
        if uses and deposits:
            _deposit_used_up(node, uses, arrived, create_graph)
    for leaf, g in arrived.items():
        if not (leaf.view_of and leaf.view_of.inherits):
            final[leaf] = own(g) if leaf.hooks is None else leaf.hooks.at_leaf(own(g))  # [4]
    for leaf, gradient in final.items() if deposits else ():
        if leaf.__class__ is not Node:
            deposit(leaf, gradient, create_graph)
    return final


def reachable(roots: Roots) -> tuple[list[Node], dict[Tensor, int]]:
    """All Nodes that the roots depend on, the newest first; and the uses of each leaf with a hook that waits for `.grad`."""
    seen: set[Node] = set()
    uses: dict[Tensor, int] = {}
    stack: list[Target] = list(dict(roots))
    while stack:
        target = stack.pop()
        if target.__class__ is not Node:
            if target.hooks is not None and target.hooks.waiting:
                uses[target] = uses.get(target, 0) + 1
        elif target not in seen:
            seen.add(target)
            stack += target.edges
    return sorted(seen, key=attrgetter("order"), reverse=True), uses


def _deposit_used_up(node: Node, uses: dict[Tensor, int], arrived: dict[Target, Any], create_graph: bool) -> None:
    """Deposit what has arrived at leaves whose last use was that by this Node: no further gradient can come for them."""
    for edge in node.edges:
        if edge in uses:
            uses[edge] -= 1
            if not uses[edge] and edge in arrived:
                deposit(edge, edge.hooks.at_leaf(own(arrived.pop(edge))), create_graph)  # [4]


def leading_to(captured: set[Target], nodes: list[Node]) -> set[Target]:
    """The captured targets, and the Nodes from which one of them can be reached."""
    leading = set(captured)
    for node in reversed(nodes):
        if not leading.isdisjoint(node.edges):
            leading.add(node)
    return leading


def _gradients(node: Node, g: Any, retain: bool, create_graph: bool, needed: set[Target] | None) -> Sequence[Any]:
    """The gradients of a Node's inputs, given that of its output: one for each edge, None for those not needed.

    None at all, and nothing is looked at, where the Node leads to nothing that is needed.

    Raises RuntimeError where the saved values are gone, or were edited since. They are let go of, unless retained.
    """
    if needed is not None and needed.isdisjoint(node.edges):
        return ()
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
        saved = plan.op.with_histories(node, saved)
        if plan.op.definition is not None:
            return plan.op.through_definition(node, saved, g)
    if plan.joint:
        vjp, pick = plan.vjps[0]
        given = vjp(g, *pick(saved))
        if len(given) != plan.arity:
            raise not_one_for_each(node, given)
        if plan.arity > 2 and len(set(map(id, given))) < plan.arity:
            given = apart(given)
        return given if plan.arity == len(node.edges) else [given[p] for p in plan.positions]
    gradients = []
    for (vjp, pick), edge in zip(plan.vjps, node.edges):
        gradients.append(vjp(g, *pick(saved)) if needed is None or edge in needed else None)
    return gradients


def fit(gx: Any, shape: tuple[int, ...], dtype: Any, node: Node) -> Any:
    """Undo broadcasting and promotion: the gradient in the shape and dtype of its input."""
    if gx.shape != shape:
        if not node.plan.op.broadcasts:
            raise not_its_shape(node, gx, shape)
        zeros = xp(raw(gx)).zeros(shape, gx.dtype)
        gx = sum_to(gx if gx.ndim >= len(shape) else gx + zeros, shape)
        if gx.shape != shape:  # a vjp that gave a number, or less than the input's shape
            gx = gx + zeros
    if gx.dtype != dtype:
        gx = gx.to(dtype) if isinstance(gx, Tensor) else gx.astype(dtype)
    return gx


# ---- where gradients end ------------------------------------------------------------------


def own(g: Any, known: bool = False) -> Tensor:
    """The gradient as a Tensor whose memory is its own: a copy of a view, and of what is known elsewhere."""
    array = g.array if isinstance(g, Tensor) else g
    if not known and getattr(array, "base", None) is None:
        return g if isinstance(g, Tensor) else wrap(g)
    return g + 0 if isinstance(g, Tensor) and g.needs_grad else wrap(array.copy())


depositing = threading.Lock()  # two threads may add to one .grad; a forked process gets its own: autograd/requests.py


def deposit(leaf: Tensor, gradient: Tensor, anew: bool) -> None:
    """Add to leaf.grad: in its memory, or (anew) as a new Tensor with a history. Then its hooks that wait for that run."""
    if not leaf.needs_grad:  # any more
        return
    with depositing:
        old = leaf._grad
        if old is None:
            leaf._grad = gradient
        elif anew or not (getattr(old.array.flags, "carray", False) or is_writable(old.array)):  # one that was assigned
            leaf._grad = old + gradient
        else:
            old.array += gradient.array
            if old.version is not None:  # else nobody has asked: a call saved
                mark_edited(old, "backward")
    if leaf.hooks is not None:
        leaf.hooks.deposited(leaf)  # [4]
