"""Derivatives of fused ops under create_graph=True: their definition is differentiated in their place."""

from __future__ import annotations

from typing import Any

from tinygrad_norm.engine.backward import differentiate, target_of
from tinygrad_norm.engine.op import Node, Op, op
from tinygrad_norm.engine.tensor import Tensor


@op
def _same(x: Any) -> Any:
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


Op.through_definition = _through_definition
