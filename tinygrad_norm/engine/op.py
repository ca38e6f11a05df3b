"""The op: a function on arrays that leaves a Node behind when it is called with Tensors."""

from __future__ import annotations

import functools
import inspect
import itertools
import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, overload

import numpy as np

from tinygrad_norm.checks.errors import as_operand, explained, require_free_names, require_input, require_sources
from tinygrad_norm.engine.tensor import Tensor, Version, new, thread, version_of, wrap
from tinygrad_norm.promotion import promoted

if TYPE_CHECKING:
    from tinygrad_norm.autograd.differentiable import Differentiable

P = ParamSpec("P")
new_order = itertools.count().__next__


class Node:
    """One recorded call of an op: what `backward` needs to know of it.

    plan: the op, and what its vjps ask for; edges: for each input that needs a gradient, the Node
    (or the leaf Tensor) it came from; saved: the values that the vjps ask for, None once used;
    guards: (slot, version, count) of each saved value that could be edited later; order: later
    Nodes have larger numbers; shape, dtype: those of the result.
    """

    __slots__ = ("__weakref__", "dtype", "edges", "guards", "hooks", "order", "plan", "saved", "shape")
    plan: Plan
    edges: list[Any]
    saved: list | None
    guards: list[tuple[int, Any, int]]
    order: int
    shape: tuple[int, ...]
    dtype: np.dtype
    hooks: Any  # [4] None, or what sees its gradient before its vjps do

    def name(self) -> str:
        """What made the Tensor, as PyTorch writes it: MulBackward for mul."""
        op = self.plan.op
        return op.node_name or "".join(part.capitalize() for part in op.name.split("_")) + "Backward"


class Plan:
    """What to save, and which vjp gets which of it, when just these inputs need a gradient.

    names: what is saved, in order; sources: where each comes from, as (kind, key); vjps: for each
    of the positions the vjp, and what picks its arguments out of the saved list. An op with a joint
    vjp has one function that gives the gradients of all inputs at once.
    """

    def __init__(self, op: Op, positions: tuple[int, ...], arity: int) -> None:
        self.op, self.positions, self.arity, self.joint = op, positions, arity, op.joint is not None
        vjps = [op.vjp_for(p) for p in positions]
        asked = [name for _, names in vjps for name in names]
        self.used = len(dict.fromkeys(asked))  # how many vjps ask for; the others are for the definition
        if op.definition is not None:  # create_graph runs the definition on inputs and settings
            asked += [*op.inputs, *op.settings]
        self.names = list(dict.fromkeys(asked))
        needs: tuple[str, Any] = ("constant", tuple(p in positions for p in range(arity)))
        self.sources = [needs if name == "needs" else op.sources[name] for name in self.names]
        self.vjps = [(vjp, _picking([self.names.index(n) for n in names])) for vjp, names in vjps]


def _picking(slots: list[int]) -> Callable[[list], Sequence]:
    """What takes the values in these slots out of the saved list: a slice where they come first."""
    if slots == list(range(len(slots))):
        return operator.itemgetter(slice(len(slots)))
    return operator.itemgetter(*slots) if len(slots) > 1 else operator.itemgetter(slice(slots[0], slots[0] + 1))


class Op:
    """An op as the engine sees it: its forward function, its signature, its vjps, a Plan for each set of inputs."""

    with_histories: Callable  # what create_graph needs: see autograd/create_graph.py
    through_definition: Callable

    def __init__(self, forward: Callable, definition: Callable | None, broadcasts: bool, keeps: tuple[str, ...]) -> None:
        self.forward, self.definition, self.broadcasts, self.keeps = forward, definition, broadcasts, keeps
        self.name = forward.__name__.strip("_")
        self.node_name = ""  # what grad_fn.name() says; made from name where it is empty
        parameters = inspect.signature(forward).parameters.values()
        self.settings = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
        self.inputs = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
        self.optional = {p.name: p.default for p in parameters if p.default is not p.empty}
        self.variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        require_free_names(self)
        # where a name that a vjp asks for comes from: a kind, and what to look up there
        self.sources: dict[str, tuple[str, Any]] = {name: ("kept", i) for i, name in enumerate(keeps)}
        self.sources |= {"out": ("out", None), "needs": ("constant", None)}
        self.sources |= {name: ("setting", (name, default)) for name, default in self.settings.items()}
        for i, name in enumerate(self.inputs):
            self.sources.setdefault(f"{name}_shape", ("shapes", None) if self.variadic else ("shape", i))
            self.sources[name] = ("inputs", None) if self.variadic else ("input", i)
        self.vjps: dict[str, tuple[Callable, tuple[str, ...]]] = {}
        self.joint: tuple[Callable, tuple[str, ...]] | None = None
        self.plans: dict[int, Plan] = {}

    def _with_names(self, vjp: Callable) -> tuple[Callable, tuple[str, ...]]:
        """A vjp, and what it asks for after g."""
        names = tuple(inspect.signature(vjp).parameters)[1:]
        require_sources(self, names)
        self.plans.clear()
        return vjp, names

    def set_vjps(self, **vjps: Callable) -> None:
        """Give the vjp of each differentiable input, by its name."""
        for name, vjp in vjps.items():
            require_input(self, name)
            self.vjps[name] = self._with_names(vjp)

    def set_joint_vjp(self, vjp: Callable) -> Callable:
        """Give one function that returns the gradients of all inputs; None for those it has not."""
        self.joint = self._with_names(vjp)
        return vjp

    def vjp_for(self, position: int) -> tuple[Callable, tuple[str, ...]]:
        """The vjp of the input at this position, and the names it asks for."""
        if self.joint is not None:
            return self.joint
        if (name := self.inputs[0 if self.variadic else position]) not in self.vjps:
            raise NotImplementedError(f"{self.name} is not differentiable with respect to its input {name!r}")
        return self.vjps[name]

    def record(
        self, key: int, edges: list, inputs: Sequence, arrays: Sequence, settings: dict, result: Tensor, kept: Any = ()
    ) -> Node:
        """The Node of a call. key: bit p is set if input p needs a gradient; one bit more marks the number of inputs."""
        plan = self.plans.get(key)
        if plan is None:
            positions = tuple(p for p in range(len(inputs)) if key >> p & 1)
            plan = self.plans[key] = Plan(self, positions, len(inputs))
        saved: list[Any] = []
        guards = []
        for kind, at in plan.sources:
            if kind == "input":
                if isinstance(x := inputs[at], Tensor):
                    version = x.version = x.version or Version()
                    guards.append((len(saved), version, version.count))
                saved.append(arrays[at])
            elif kind == "out":
                version = result.version = result.version or Version()
                guards.append((len(saved), version, version.count))
                saved.append(result.array)
            elif kind == "setting":
                saved.append(settings.get(*at))
            elif kind == "shape":
                saved.append(arrays[at].shape)
            elif kind == "kept":
                saved.append(kept[at])
            elif kind == "constant":
                saved.append(at)
            elif kind == "shapes":
                saved.append([a.shape for a in arrays])
            else:
                guards += [(len(saved), version_of(x), version_of(x).count) for x in inputs if isinstance(x, Tensor)]
                saved.append(arrays)
        node = new(Node)
        node.plan, node.edges, node.saved, node.guards = plan, edges, saved, guards
        node.order, node.hooks = new_order(), None
        node.shape, node.dtype = result.array.shape, result.array.dtype
        for see in thread.observers:  # [5]
            see.recorded(node, inputs, settings, result)
        return node

    def bind(self, inputs: tuple, settings: dict) -> tuple[tuple, dict]:
        """Inputs that were given by name in their places."""
        rest = dict(settings)
        missing = [name for name in self.inputs[len(inputs) :] if name not in rest and name not in self.optional]
        if missing:
            raise TypeError(f"{self.name}(): missing a required argument: {', '.join(map(repr, missing))}")
        return (*inputs, *(rest.pop(name, self.optional.get(name)) for name in self.inputs[len(inputs) :])), rest


@overload
def op(forward: Callable[P, Any]) -> Differentiable[P]: ...
@overload
def op(
    *, definition: Callable | None = ..., broadcasts: bool = ..., after: Callable | None = ..., keeps: tuple[str, ...] = ...
) -> Callable[[Callable[P, Any]], Differentiable[P]]: ...
def op(
    forward: Callable | None = None,
    *,
    definition: Callable | None = None,
    broadcasts: bool = False,
    after: Callable | None = None,
    keeps: tuple[str, ...] = (),
) -> Any:
    """Make a function on arrays an op: called with Tensors, it computes and records.

    Inputs are positional, settings keyword-only. After the function, give its derivatives:
    `f.vjp(x=lambda g, ...: ...)`, or all at once with `f.joint_vjp`.

    broadcasts: the op is elementwise: input dtypes are promoted by PyTorch's rules, and gradients
        are summed back to the inputs' shapes.
    definition: for a fused op, a plain composition of other ops with the same signature;
        under create_graph=True it is differentiated in the op's place.
    keeps: names of further values that forward returns after the result, for the vjps.
    after: called with the op, its inputs, its settings and the result: see autograd/views.py.
    """
    if forward is None:
        return functools.partial(op, definition=definition, broadcasts=broadcasts, after=after, keeps=keeps)
    this = Op(forward, definition, broadcasts, keeps)
    apply: Any = functools.wraps(forward)(_applying(this, after))
    apply.op, apply.vjp, apply.joint_vjp = this, this.set_vjps, this.set_joint_vjp
    return apply


def _applying(this: Op, after: Callable | None) -> Callable:
    """What `op` makes of a function: it computes, and records where an input needs a gradient."""
    forward, broadcasts, keeps, record = this.forward, this.broadcasts, this.keeps, this.record
    arity = 0 if this.variadic else len(this.inputs)
    numbers = () if broadcasts and arity == 1 else (float, int, bool)
    usual = {np.ndarray, *numbers, *(() if broadcasts else (type(None),))}  # operands that need no second look

    def apply(*inputs: Any, **settings: Any) -> Any:
        if len(inputs) < arity:
            inputs, settings = this.bind(inputs, settings)
        arrays: list[Any] = []
        edges: list[Any] = []
        needed, bit, dtype, mixed = 0, 1, None, False
        for x in inputs:
            if isinstance(x, Tensor):
                if x.view_of is not None:
                    x.view_of.refresh(x)  # [1]
                if x.needs_grad:
                    needed += bit
                    edges.append(x if x.node is None else x.node)
                x = x.array
                if dtype is None:
                    dtype = x.dtype
                elif x.dtype is not dtype:
                    mixed = True
            elif x.__class__ not in usual:
                x = as_operand(this, x)
            arrays.append(x)
            bit += bit
        if dtype is None:  # no Tensor among the inputs: a plain function on arrays
            out = forward(*inputs, **settings)
            return out[0] if keeps else out
        try:
            out = forward(*arrays, **settings)
            if broadcasts and (mixed or out.dtype is not dtype):
                out = promoted(forward, arrays, settings, out)  # [2]
        except Exception as error:
            out = explained(this, arrays, settings, error)  # [3]
        kept = out[1:] if keeps else ()
        result = wrap(out[0] if keeps else out)
        if after is not None:
            after(apply, inputs, settings, result)  # [2]
        if needed and thread.recording:
            result.node, result.needs_grad = record(needed + bit, edges, inputs, arrays, settings, result, kept), True
        return result

    return apply


def elementwise(forward: Callable[P, Any]) -> Differentiable[P]:
    """An op whose inputs broadcast and whose dtypes are promoted."""
    return op(broadcasts=True)(forward)
