"""What backward needs under create_graph=True: saved values with their histories, and the definitions of fused ops."""

from __future__ import annotations

from typing import Any

from tinygrad_norm.backend import is_array
from tinygrad_norm.engine.backward import Target, differentiate, target_of
from tinygrad_norm.engine.op import Node, Op, op
from tinygrad_norm.engine.tensor import Tensor, wrap


def _with_histories(op: Op, node: Node, saved: list) -> list:
    """The saved values with the histories they had when they were saved."""
    values = list(saved)
    versions = {slot: version for slot, version, _ in node.guards}
    edges = dict(zip(node.plan.positions, node.edges))
    for slot, (kind, at) in enumerate(node.plan.sources):
        if kind == "out" or (kind == "input" and is_array(saved[slot])):
            values[slot] = _restored(saved[slot], node if kind == "out" else edges.get(at), versions.get(slot))
        elif kind == "inputs":
            values[slot] = [_restored(a, edges.get(p), None) if is_array(a) else a for p, a in enumerate(saved[slot])]
    return values


def _restored(array: Any, edge: Target, version: Any) -> Tensor:
    if isinstance(edge, Tensor):
        return edge
    tensor = wrap(array)
    tensor.version = version
    tensor.node, tensor.needs_grad = edge, edge is not None
    return tensor


@op
def _same(x: Any) -> Any:
    """x."""
    return x


_same.vjp(x=lambda g: g)


def _through_definition(op: Op, node: Node, saved: list, g: Tensor) -> list:
    """The gradients of a fused op by way of its definition, so that they can be differentiated.

    Each input passes through an identity op first, so that an input computed from another one gets only its own gradient.
    """
    value = dict(zip(node.plan.names, saved))
    inputs = [_same(x) if isinstance(x := value[name], Tensor) and x.needs_grad else x for name in op.inputs]
    assert op.definition is not None
    out = op.definition(*inputs, **{name: value[name] for name in op.settings})
    wanted = [inputs[p] for p in node.plan.positions]
    found = differentiate([(target_of(out), g)], wanted, True, True)
    return [found.get(target_of(x)) for x in wanted]


Op.with_histories, Op.through_definition = _with_histories, _through_definition
