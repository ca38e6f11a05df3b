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

import math
import weakref
from typing import Any

from tinygrad_norm.autograd.grad_mode import grad_mode, no_grad
from tinygrad_norm.autograd.graph import op
from tinygrad_norm.autograd.tensor import Tensor, wrap
from tinygrad_norm.backend import xp


class Context:
    """What forward leaves for backward: `save_for_backward` for Tensors, attributes for anything else.

    needs_input_grad: for each argument of apply, whether it is a Tensor that requires grad.
    """

    def __init__(self, needs_input_grad: tuple[bool, ...]) -> None:
        self.needs_input_grad = needs_input_grad
        self._saved: list[Any] = []
        self._constant: tuple[Tensor, ...] = ()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs and outputs for backward; it raises RuntimeError if one was edited in place since."""
        for t in tensors:
            if t is not None and not isinstance(t, Tensor):
                raise TypeError(
                    f"save_for_backward can only save variables, but got {type(t).__name__}: use an attribute of ctx"
                )
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
        """Accepted; outputs without a gradient always get one of zeros."""


class _Saved:
    """A saved Tensor. An output is kept by its array, and its Node weakly: a graph that held itself would not be freed."""

    def __init__(self, tensor: Tensor, output: bool) -> None:
        self.array, self.version, self.count = tensor.array, tensor.version, tensor.version.count
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

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """What the function computes."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradients of the arguments, given those of the outputs."""
        raise NotImplementedError("You must implement either the backward or vjp method for your custom autograd.Function")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Compute, and record."""
        needs = tuple(isinstance(a, Tensor) and a.requires_grad for a in args)
        context = Context(needs)
        setup = getattr(cls, "setup_context", None)
        with no_grad():
            returned = cls.forward(*args) if setup else cls.forward(context, *args)
            if setup:
                setup(context, args, returned)
        outputs = list(returned) if isinstance(returned, (tuple, list)) else [returned]
        inputs = [a for a in args if isinstance(a, Tensor)]
        outputs = [
            out.detach() if isinstance(out, Tensor) and any(out is x for x in inputs) else out for out in outputs
        ]  # an input returned as it is becomes a Tensor of its own
        if any(needs) and grad_mode.enabled:
            _record(cls, context, args, outputs)
        return tuple(outputs) if isinstance(returned, (tuple, list)) else outputs[0]


def _record(cls: type[Function], context: Context, args: tuple, outputs: list) -> None:
    """Give the outputs their Nodes."""
    if "_op" not in cls.__dict__:
        cls._op = _op_for(cls)
    live = [
        out
        for out in outputs
        if isinstance(out, Tensor) and out.array.dtype.kind == "f" and not any(out is c for c in context._constant)
    ]
    if not live:
        return
    module = xp(live[0].array)
    shapes = [out.array.shape for out in live]
    flat = wrap(module.concatenate([out.array.reshape(-1) for out in live]))
    inputs = tuple(a for a in args if isinstance(a, Tensor))
    cls._op.op.record_edit(
        inputs, {"context": context, "args": tuple(isinstance(a, Tensor) for a in args), "shapes": shapes}, flat
    )
    start = 0
    for out, shape in zip(live, shapes):
        size = math.prod(shape)
        part = flat[start : start + size].reshape(shape)
        out.node, out.needs_grad = part.node, True
        start += size
    context._saved = [s if s is None else _Saved(s, any(s is out for out in live)) for s in context._saved]


def _op_for(cls: type[Function]) -> Any:
    def forward(*tensors: Any, context: Any, args: Any, shapes: Any) -> Any:
        raise NotImplementedError

    forward.__name__ = cls.__name__
    made = op(forward)

    @made.joint_vjp
    def vjp(g: Any, context: Context, args: tuple[bool, ...], shapes: list) -> list:
        """args: for each argument of apply, whether it is a Tensor."""
        pieces, start = [], 0
        for shape in shapes:
            size = math.prod(shape)
            piece = g[start : start + size].reshape(shape)
            pieces.append(piece if isinstance(piece, Tensor) else wrap(piece))
            start += size
        found = cls.backward(context, *pieces)
        found = found if isinstance(found, (tuple, list)) else (found,)
        if len(found) < len(args) or any(v is not None for v in found[len(args) :]):
            raise RuntimeError(
                f"function {cls.__name__}Backward returned an incorrect number of gradients "
                f"(expected {len(args)}, got {len(found)})"
            )
        of_tensors = [v for v, is_tensor in zip(found, args) if is_tensor]
        return of_tensors if isinstance(g, Tensor) else [None if v is None else v.array for v in of_tensors]

    return made
