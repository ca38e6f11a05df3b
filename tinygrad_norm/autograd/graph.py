"""The op: how a computation leaves its trace, a Node for each call."""

from __future__ import annotations

import functools
import inspect
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, Protocol, overload

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.autograd.anomaly import note_call
from tinygrad_norm.autograd.errors import explain, is_foreign, not_an_operand, wrong_kind
from tinygrad_norm.autograd.grad_mode import grad_mode
from tinygrad_norm.autograd.node import Node, new_order
from tinygrad_norm.autograd.tensor import NUMBERS, Tensor, Version, View, new, refresh, set_history, wrap
from tinygrad_norm.backend import Array, is_array, plain_array, xp

# ---- the op -------------------------------------------------------------------------------


class Plan:
    """What to save, and which vjp gets which of it, when just these inputs need a gradient.

    names: what is saved, in order; sources: where each comes from, as (kind, key); vjps: for each
    of the positions the vjp, and what picks its arguments out of the saved list. An op with a joint
    vjp has one function that gives the gradients of all inputs at once.
    """

    def __init__(self, op: Op, positions: tuple[int, ...], arity: int) -> None:
        self.op, self.positions = op, positions
        self.edge_of = {p: k for k, p in enumerate(positions)}
        needs = tuple(p in self.edge_of for p in range(arity))
        vjps = []
        for vjp, names in map(op.vjp_for, positions):
            if "needs" in names:
                vjp, names = functools.partial(vjp, needs=needs), tuple(n for n in names if n != "needs")
            vjps.append((vjp, names))
        wanted = [name for _, names in vjps for name in names]
        self.used = len(dict.fromkeys(wanted))  # the values after these are for the definition only
        if op.definition is not None:  # create_graph runs the definition on inputs and settings
            wanted += [*op.inputs, *op.settings]
        self.names = list(dict.fromkeys(wanted))
        self.sources = [op.source_of(name) for name in self.names]
        self.vjps = [(vjp, self._picking(names)) for vjp, names in vjps]
        self.joint = op.joint is not None

    def _picking(self, names: tuple[str, ...]) -> Callable[[list], Sequence]:
        """What takes these names' values out of the saved list: a slice where they come first."""
        slots = [self.names.index(name) for name in names]
        if slots == list(range(len(slots))):
            return operator.itemgetter(slice(len(slots)))
        return operator.itemgetter(*slots) if len(slots) > 1 else operator.itemgetter(slice(slots[0], slots[0] + 1))


class Op:
    """An op as the engine sees it: its forward function, its signature, its vjps."""

    def __init__(self, forward: Callable, definition: Callable | None, broadcasts: bool, view: bool, keeps: tuple) -> None:
        self.forward, self.definition = forward, definition
        self.broadcasts, self.view, self.keeps = broadcasts, view, keeps
        self.name = forward.__name__.strip("_")
        self.node_name = ""  # what grad_fn.name() says; made from name where it is empty
        parameters = inspect.signature(forward).parameters.values()
        self.settings = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
        self.inputs = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
        self.optional = {p.name for p in parameters if p.default is None}
        if reserved := {"out", "needs"} & {*self.inputs, *self.settings}:
            raise TypeError(f"{self.name}: {sorted(reserved)} cannot name an argument of an op: vjps get them from the engine")
        self.variadic = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)
        self.vjps: dict[str, tuple[Callable, tuple[str, ...]]] = {}
        self.joint: tuple[Callable, tuple[str, ...]] | None = None
        self.plans: dict[Any, Plan] = {}

    def source_of(self, name: str) -> tuple[str, Any]:
        """Where a name that a vjp asks for comes from: a kind, and what to look up there."""
        if name in self.inputs:
            return ("inputs", None) if name == self.variadic else ("input", self.inputs.index(name))
        if name in ("out", "needs"):
            return name, None
        if name in self.settings:
            return "setting", name
        if name in self.keeps:
            return "kept", self.keeps.index(name)
        of = name.removesuffix("_shape")
        if of != name and of in self.inputs:
            return ("shapes", None) if of == self.variadic else ("shape", self.inputs.index(of))
        raise TypeError(
            f"a vjp of {self.name} asks for {name!r}, which is neither an input, `out`, a keyword of the op "
            f"nor `<input>_shape`: expected one of {[*self.inputs, 'out', *self.settings, *self.keeps]}"
        )

    def _names(self, vjp: Callable) -> tuple[Callable, tuple[str, ...]]:
        names = tuple(inspect.signature(vjp).parameters)[1:]
        for name in names:
            self.source_of(name)
        return vjp, names

    def set_vjps(self, **vjps: Callable) -> None:
        """Give the vjp of each differentiable input, by its name."""
        for name, vjp in vjps.items():
            if name not in self.inputs:
                raise TypeError(f"{self.name} has no input {name!r} to differentiate: it has {self.inputs}")
            self.vjps[name] = self._names(vjp)
        self.plans.clear()

    def set_joint_vjp(self, vjp: Callable) -> Callable:
        """Give one function that returns the gradients of all inputs; None for those it has not."""
        self.joint = self._names(vjp)
        self.plans.clear()
        return vjp

    def vjp_for(self, position: int) -> tuple[Callable, tuple[str, ...]]:
        """The vjp of the input at this position, and the names it asks for."""
        if self.joint is not None:
            return self.joint
        name = self.inputs[position]
        if name not in self.vjps:
            raise NotImplementedError(f"{self.name} is not differentiable with respect to its input {name!r}")
        return self.vjps[name]

    def plan(self, mask: int, arity: int) -> Plan:
        """The plan for these inputs that need a gradient, one bit each."""
        key = (mask, arity) if self.variadic else mask
        plan = self.plans.get(key)
        if plan is None:
            positions = tuple(p for p in range(arity) if mask >> p & 1)
            plan = self.plans[key] = Plan(self, positions, arity)
        return plan

    def record(
        self, mask: int, edges: list, inputs: tuple, arrays: list, settings: dict, result: Tensor, kept: Any = ()
    ) -> None:
        """Give `result` the Node of this call."""
        plan = self.plans.get(mask) if not self.variadic else None
        if plan is None:
            plan = self.plan(mask, len(inputs))
        saved: list[Any] = []
        guards = []
        for kind, key in plan.sources:
            if kind == "input":
                if isinstance(x := inputs[key], Tensor):
                    if (version := x._edits) is None:
                        version = x._edits = Version()
                    guards.append((len(saved), version, version.count))
                saved.append(arrays[key])
            elif kind == "out":
                if (version := result._edits) is None:
                    version = result._edits = Version()
                guards.append((len(saved), version, version.count))
                saved.append(result.array)
            elif kind == "setting":
                saved.append(settings[key] if key in settings else self.settings[key])
            elif kind == "shape":
                saved.append(arrays[key].shape)
            elif kind == "kept":
                saved.append(kept[key])
            elif kind == "shapes":
                saved.append([a.shape for a in arrays])
            else:
                guards += [(len(saved), x.version, x.version.count) for x in inputs if isinstance(x, Tensor)]
                saved.append(arrays)
        node = new(Node)
        node.plan, node.edges, node.saved, node.guards = plan, edges, saved, guards
        node.order = new_order()
        node.shape, node.dtype = result.array.shape, result.array.dtype
        node.hooks = node.retained = None
        if result.node is not None:
            set_history(result, node)
        else:
            result.node, result.needs_grad = node, True
        if grad_mode.anomaly:
            note_call(node)

    def record_edit(self, inputs: tuple, settings: dict, result: Tensor) -> None:
        """As record, for what was computed in another way, in place."""
        mask, edges, arrays = 0, [], []
        for position, x in enumerate(inputs):
            arrays.append(x.array if isinstance(x, Tensor) else x)
            if isinstance(x, Tensor) and x.needs_grad:
                mask |= 1 << position
                edges.append(x if x.node is None else x.node)
        self.record(mask, edges, inputs, arrays, settings, result)

    def bind(self, inputs: tuple, settings: dict) -> tuple[tuple, dict]:
        """Inputs that were given by name in their places."""
        rest = dict(settings)
        missing = [name for name in self.inputs[len(inputs) :] if name not in rest and name not in self.optional]
        if missing:
            raise TypeError(f"{self.name}(): missing a required argument: {', '.join(map(repr, missing))}")
        return (*inputs, *(rest.pop(name, None) for name in self.inputs[len(inputs) :])), rest


P = ParamSpec("P")


class Differentiable(Protocol[P]):
    """What `op` makes of a function on arrays: a function on Tensors, to which derivatives are given."""

    op: Op

    def __call__(self, *inputs: P.args, **settings: P.kwargs) -> Tensor:
        """Compute, and record."""

    def vjp(self, **vjps: Callable[..., Any]) -> None:
        """Give the vjp of each differentiable input, by its name."""

    def joint_vjp(self, vjp: Callable[..., Any]) -> Callable[..., Any]:
        """Give one function that returns the gradients of all inputs."""


@overload
def op(forward: Callable[P, Any]) -> Differentiable[P]: ...
@overload
def op(
    *, definition: Callable | None = ..., broadcasts: bool = ..., view: bool = ..., keeps: tuple[str, ...] = ...
) -> Callable[[Callable[P, Any]], Differentiable[P]]: ...
def op(
    forward: Callable | None = None,
    *,
    definition: Callable | None = None,
    broadcasts: bool = False,
    view: bool = False,
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
    view: the result may share memory with the first input.
    """
    if forward is None:
        return functools.partial(op, definition=definition, broadcasts=broadcasts, view=view, keeps=keeps)
    this = Op(forward, definition, broadcasts, view, keeps)
    record, arity = this.record, 0 if this.variadic else len(this.inputs)
    unary = broadcasts and arity == 1
    usual = _USUAL if broadcasts else {*_USUAL, type(None)}  # operands that need no second look

    @functools.wraps(forward)
    def apply(*inputs: Any, **settings: Any) -> Any:
        if len(inputs) < arity:
            inputs, settings = this.bind(inputs, settings)
        arrays: list[Any] = []
        edges: list[Any] = []
        mask, bit, dtype, mixed = 0, 1, None, False
        for x in inputs:
            if isinstance(x, Tensor):
                if x.view_of is not None:
                    refresh(x)
                if x.needs_grad:
                    mask += bit
                    edges.append(x if x.node is None else x.node)
                x = x.array
                if dtype is None:
                    dtype = x.dtype
                elif x.dtype is not dtype:
                    mixed = True
            elif x.__class__ not in usual:
                x = plain_array(x) if isinstance(x, np.ndarray) else x
                if broadcasts and not is_array(x) and not isinstance(x, NUMBERS):
                    raise wrong_kind(this.name, this.inputs[0], "Tensor", x) if unary else not_an_operand(this.name, x)
            arrays.append(x)
            bit += bit
        if dtype is None:  # no Tensor among the inputs: a plain function on arrays
            if unary and not is_array(inputs[0]) and not isinstance(inputs[0], np.generic):
                raise wrong_kind(this.name, this.inputs[0], "Tensor", inputs[0])
            out = forward(*inputs, **settings)
            return out[0] if keeps else out
        if broadcasts and settings:  # a NumPy scalar would widen float32
            settings = {k: v.item() if isinstance(v, np.generic) else v for k, v in settings.items()}
        try:
            out = forward(*arrays, **settings)
            if broadcasts and (mixed or out.dtype is not dtype):
                out = _promoted(forward, arrays, settings, out)
        except Exception as error:
            out = _explained(this, arrays, settings, error)
        kept = ()
        if keeps:
            out, *kept = out
        result = wrap(out)
        if view and ((out.base is not None and out.base is arrays[0]) or shares_memory(out, arrays[0])):
            show(result, inputs[0], apply, settings)
        if mask and grad_mode.enabled:
            record(mask, edges, inputs, arrays, settings, result, kept)
        return result

    apply.op = this  # type: ignore[attr-defined]
    apply.vjp = this.set_vjps  # type: ignore[attr-defined]
    apply.joint_vjp = this.set_joint_vjp  # type: ignore[attr-defined]
    return apply


def _explained(op: Op, arrays: list, settings: dict, error: Exception) -> Any:
    """What forward gives after all where a number did not fit into a dtype; else raises the error, in the words of tensors."""
    if isinstance(error, OverflowError) and not is_foreign(error):  # a Python number that an integer dtype cannot hold
        return _promoted(op.forward, arrays, settings, None)
    clearer = None if is_foreign(error) else explain(op.name, [*arrays, *settings.values()], op.broadcasts, error)
    if clearer is not None:
        raise clearer from error
    raise error


_USUAL = {float, int, bool, np.ndarray}


def elementwise(forward: Callable[P, Any]) -> Differentiable[P]:
    """An op whose inputs broadcast and whose dtypes are promoted."""
    return op(broadcasts=True)(forward)


# ---- views --------------------------------------------------------------------------------

_FROZEN = "A view was created in no_grad mode and is being modified inplace with grad mode enabled"
_MOST_STEPS = 50


def show(result: Tensor, source: Tensor, op: Callable, settings: dict) -> None:
    """Make `result`, which op made of source with these settings, a view of source's memory."""
    if isinstance(result.array, np.ndarray) and not result.array.flags.writeable and source.array.flags.writeable:
        result.array.flags.writeable = True  # NumPy's broadcasting: parts in which no element comes twice may be edited
    edits = source._edits or source.version
    result._edits, parent, step = edits, source.view_of, (op, settings)
    base: Tensor = source
    before: tuple = ()
    frozen = "" if grad_mode.enabled else _FROZEN
    if parent is not None:
        base, before, frozen = parent.base, parent.steps, frozen or parent.frozen
    if len(before) == _MOST_STEPS:  # view of view of view, in a loop: they become one step
        places = xp(base.array).arange(base.array.size).reshape(base.array.shape)
        for earlier, its_own in before:
            places = earlier(places, **its_own)
        before = ((_picked, {"places": places}),)
    result.view_of = View(base, (*before, step), edits.count, frozen)


@op
def _picked(x: Any, *, places: Array) -> Any:
    """The elements at these places, counted row by row."""
    return x.reshape(-1)[places]


@op
def _placed(g: Any, *, places: Array, shape: tuple[int, ...]) -> Any:
    """Zeros of the shape, with g added at these places."""
    out = xp(g).zeros(math.prod(shape), g.dtype)
    xp(g).add.at(out, places, g)
    return out.reshape(shape)


_picked.vjp(x=lambda g, places, x_shape: _placed(g, places=places, shape=x_shape))
_placed.vjp(g=lambda g, places: _picked(g, places=places))


def shares_memory(array: Array, source: Array) -> bool:
    """Whether `array` is `source` or a view of its memory."""
    owner = source if source.base is None else source.base
    while array is not None:
        if array is source or array is owner:
            return True
        array = getattr(array, "base", None)
    return False


# ---- dtypes -------------------------------------------------------------------------------


def _promoted(forward: Callable, arrays: list, settings: dict, out: Array | None) -> Array:
    """The result in the dtype that PyTorch's rules give; computed anew if NumPy's rules differ.

    NumPy lets an array without dimensions or a NumPy scalar widen the result, takes the logarithm (or quotient) of
    integers in float64, and refuses Python numbers that an integer dtype cannot hold.
    """
    wanted = common_dtype(arrays)
    if out is not None:
        if out.dtype == wanted or out.dtype.kind == "b":
            return out
        if out.dtype.kind == "f" and wanted.kind != "f":
            wanted = dtypes.DEFAULT
    return forward(*(converted(x, wanted) for x in arrays), **settings)


def common_dtype(operands: list) -> np.dtype:
    """The dtype in which arrays and Python numbers meet."""
    pairs = []
    for x in operands:
        if is_array(x):
            pairs.append((x.dtype, x.shape))
        elif isinstance(x, NUMBERS):
            pairs.append((dtypes.of_scalar(x), None))
    return dtypes.promote(pairs)


def converted(x: Any, dtype: np.dtype) -> Any:
    """An array in that dtype; a number as the dtype holds it (integers wrap around)."""
    if is_array(x):
        return x.astype(dtype, copy=False)
    if isinstance(x, np.generic):
        x = x.item()
    if dtype.kind in "iu" and isinstance(x, int):
        bits = 8 * dtype.itemsize
        x = int(x) % 2**bits
        return x - 2**bits if dtype.kind == "i" and x >= 2 ** (bits - 1) else x
    return x
