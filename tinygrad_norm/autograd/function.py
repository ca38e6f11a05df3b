"""Function: an op with a context, as PyTorch writes them; `op` is the shorter way.

    class Cube(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 3 * x**2 * g

    y = Cube.apply(x)

Underneath it is an op like any other. Several outputs are the parts of one vector, which the op makes.
"""

from __future__ import annotations

import functools
import inspect
import math
import weakref
from collections.abc import Sequence
from typing import Any

from tinygrad_norm.autograd.edits import record_edit
from tinygrad_norm.autograd.modes import no_grad
from tinygrad_norm.backend import xp
from tinygrad_norm.engine.broadcasting import sum_to
from tinygrad_norm.engine.op import Node, op
from tinygrad_norm.engine.tensor import Tensor, Version, thread, version_of, wrap


class Context:
    """What forward leaves for backward: `save_for_backward` for Tensors, attributes for anything else.

    needs_input_grad: for each argument of apply, whether it is a Tensor that requires grad.
    """

    def __init__(self, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad
        self._saved: list[Any] = []
        self._constant: tuple[Tensor, ...] = ()
        self._materialize = True
        self._function: Any = None  # which, and of how many outputs
        self._arrived: set[int] = set()  # which outputs got a gradient, where that is asked for

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs and outputs for backward; it raises RuntimeError if one was edited in place since."""
        for t in tensors:
            if t is not None and not isinstance(t, Tensor):
                raise TypeError(f"save_for_backward can only save variables, not {type(t).__name__}: use an attribute of ctx")
        self._saved = list(tensors)

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What was saved, with the history it had."""
        return tuple(s.restored() if isinstance(s, _Saved) else s for s in self._saved)

    def mark_non_differentiable(self, *outputs: Tensor) -> None:
        """These outputs are constants, as the integers of a sort."""
        self._constant = outputs

    def mark_dirty(self, *inputs: Tensor) -> None:
        """Not supported: edit a clone."""
        raise NotImplementedError("mark_dirty: a Function cannot edit its inputs in place here: edit x.clone()")

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward is given zeros (the default) or None for an output that no gradient arrived at."""
        self._materialize = value


class _Saved:
    """A saved Tensor. An output is kept by its array, and its Node weakly: a graph that held itself would not be freed."""

    def __init__(self, tensor: Tensor, output: bool) -> None:
        self.array, self.version, self.count = tensor.array, version_of(tensor), version_of(tensor).count
        self.source = None if output else tensor
        self.node = weakref.ref(tensor.node) if output and tensor.node is not None else None

    def restored(self) -> Tensor:
        if self.version.count != self.count:
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an inplace operation: "
                f"a tensor saved by a Function at version {self.count} is now at version {self.version.count}; "
                f"the last edit was {self.version.last_edit}"
            )
        if self.source is not None:
            return self.source
        tensor = wrap(self.array)
        if self.node is not None and (node := self.node()) is not None:
            tensor.node, tensor.needs_grad = node, True
        return tensor


class Function:
    """Base class: define the static methods forward(ctx, *args) and backward(ctx, *gradients), call `apply`.

    backward returns one gradient for each argument of forward, None for those that have none. Written with Tensor
    operations, it can be differentiated again. Or define forward(*args) and setup_context(ctx, inputs, output).
    """

    _op: Any = None
    _part: Any = None  # the identity, by which each output bears the Function's name

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """What the function computes."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradients of the arguments, given those of the outputs."""
        raise NotImplementedError("You must implement either the backward or vjp method for your custom autograd.Function")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Not the way: use apply."""
        raise RuntimeError(f"{type(self).__name__} is called by its static method: {type(self).__name__}.apply(...)")

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Compute, and record. With a setup_context arguments may be named, and it gets forward's defaults too."""
        setup = getattr(cls, "setup_context", None)
        if kwargs and not setup:
            raise TypeError(f"{cls.__name__}.apply() takes no keyword arguments")
        if setup:
            bound = inspect.signature(cls.forward).bind(*args, **kwargs)
            bound.apply_defaults()
            args = bound.args
        needs = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        context = Context(needs)
        with no_grad():
            returned = cls.forward(*args) if setup else cls.forward(context, *args)
            if setup:
                setup(context, args, returned)
        outputs = list(returned) if isinstance(returned, (tuple, list)) else [returned]
        inputs = [a for a in args if isinstance(a, Tensor)]
        outputs = [
            out.detach() if isinstance(out, Tensor) and any(out is x for x in inputs) else out for out in outputs
        ]  # an input returned as it is becomes a Tensor of its own
        if any(needs) and thread.recording:
            _record(cls, context, args, outputs)
        return tuple(outputs) if isinstance(returned, (tuple, list)) else outputs[0]


def _record(cls: type[Function], context: Context, args: tuple, outputs: list) -> None:
    """Give the outputs their Nodes."""
    if "_op" not in cls.__dict__:
        cls._op, cls._part = _op_for(cls), op(lambda x: x)
        cls._part.vjp(x=lambda g: g)
        cls._part.op.name = "output"
        cls._op.op.node_name = cls._part.op.node_name = f"{cls.__name__}Backward"
    live = [
        isinstance(out, Tensor) and out.array.dtype.kind == "f" and not any(out is c for c in context._constant)
        for out in outputs
    ]
    parts = [out for out, is_live in zip(outputs, live) if is_live]
    if not parts:
        return
    module = xp(parts[0].array)
    shapes = [(out.array.shape, out.array.dtype) if isinstance(out, Tensor) else None for out in outputs]
    flat = wrap(module.concatenate([out.array.reshape(-1) for out in parts]))
    inputs = tuple(a for a in args if isinstance(a, Tensor))
    wanted = tuple(a.array.shape if isinstance(a, Tensor) else None for a in args)
    record_edit(cls._op.op, inputs, {"context": context, "args": wanted, "shapes": shapes, "live": live}, flat)
    if (
        context._saved and flat.node is not None
    ):  # a guard that never fails: backward() frees the saved values of Nodes that have guards
        flat.node.guards = [(0, (version := Version()), version.count)]
    start = 0
    for i, out in enumerate(outputs):
        if live[i]:
            part = cls._part(flat[start : start + out.array.size].reshape(out.array.shape))
            out.node, out.needs_grad = part.node, True
            start += out.array.size
            if not context._materialize:
                out.register_hook(lambda g, i=i: context._arrived.add(i))
    context._function = cls, len(outputs)
    context._saved = [s if s is None else _Saved(s, any(s is out for out in parts)) for s in context._saved]


def _op_for(cls: type[Function]) -> Any:
    def forward(*tensors: Any, context: Any, args: Any, shapes: Any, live: Any) -> Any:
        raise NotImplementedError

    forward.__name__ = cls.__name__
    made = op(forward)
    forward.__wrapped__ = cls.forward  # type: ignore[attr-defined]  # where its source is

    @made.joint_vjp
    def vjp(g: Any, context: Context, args: tuple[Any, ...], shapes: list, live: list[bool]) -> list:
        """args: the shape of each argument, None unless it is a Tensor; live: which outputs have gradients, parts of g."""
        pieces: list[Tensor | None] = []
        start = 0
        for i, found in enumerate(shapes):
            if found is None or not (context._materialize or i in context._arrived):
                pieces.append(None)
            elif not live[i]:
                pieces.append(wrap(xp(g.array if isinstance(g, Tensor) else g).zeros(*found)))
            else:
                piece = g[start : start + math.prod(found[0])].reshape(found[0])
                pieces.append(piece if isinstance(piece, Tensor) else wrap(piece))
            start += math.prod(found[0]) if live[i] else 0
        context._arrived.clear()
        given = cls.backward(context, *pieces)
        given = given if isinstance(given, (tuple, list)) else (given,)
        if len(given) < len(args) or any(v is not None for v in given[len(args) :]):
            raise RuntimeError(f"{cls.__name__}Backward: incorrect number of gradients: {len(given)}, not {len(args)}")
        for i, v in enumerate(given):
            if v is not None and not isinstance(v, Tensor):
                raise RuntimeError(f"{cls.__name__}.backward: expected Variable or None for argument {i}, but got {v!r}")
        wanted = [(v, shape) for v, shape in zip(given, args) if shape is not None]
        of_tensors = [v if v is None else _fitted(cls, i, v, shape) for i, (v, shape) in enumerate(wanted)]
        return of_tensors if isinstance(g, Tensor) else [None if v is None else v.array for v in of_tensors]

    vjp.__wrapped__ = cls.backward  # type: ignore[attr-defined]
    return made


def undefined_gradients(node: Node) -> Sequence[Tensor | None]:
    """What the Function that left this Node makes of None for the gradient of each output; () if it is never given None."""
    if node.saved is None or not isinstance(context := next(iter(node.saved), None), Context) or context._materialize:
        return ()
    function, outputs = context._function
    given = function.backward(context, *[None] * outputs)
    return given if isinstance(given, (tuple, list)) else (given,)


def _fitted(cls: type[Function], i: int, g: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The gradient of the i-th Tensor, summed over the dimensions along which it was broadcast."""
    lead = g.ndim - len(shape)
    if lead < 0 or any(n not in (1, m) for n, m in zip(shape, g.array.shape[lead:])):
        raise RuntimeError(f"{cls.__name__}Backward returned an invalid gradient at index {i}: {g.shape}, not {list(shape)}")
    return sum_to(g, shape)


def once_differentiable(backward: Any) -> Any:
    """Decorator of a backward that cannot be differentiated again: what it returns has no history, and says so."""

    @functools.wraps(backward)
    def checked(ctx: Any, *gradients: Any) -> Any:
        with no_grad():
            given = backward(ctx, *gradients)
        if not (thread.recording and any(isinstance(g, Tensor) and g.needs_grad for g in gradients)):
            return given
        several = isinstance(given, (tuple, list))
        marked = [_undifferentiable(v) if isinstance(v, Tensor) else v for v in (given if several else (given,))]
        return tuple(marked) if several else marked[0]

    return checked


def _undifferentiable(t: Tensor) -> Tensor:
    return _Once.apply(t.detach().requires_grad_())


class _Once(Function):
    """The identity, whose derivative is refused."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")
