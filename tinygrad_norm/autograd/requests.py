"""backward and grad, as PyTorch has them: what is asked for is checked here, and found by the engine."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tinygrad_norm.backend import is_array, xp
from tinygrad_norm.checks.arguments import require_kind
from tinygrad_norm.checks.errors import mixed_devices
from tinygrad_norm.engine import backward as engine
from tinygrad_norm.engine.backward import Target, differentiate, own, target_of
from tinygrad_norm.engine.tensor import Tensor, wrap
from tinygrad_norm.warn import warn


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


def tensor_backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Add the gradient of this Tensor to `.grad` of the leaves it depends on, or of `inputs` only.

    gradient: the cotangent, of this Tensor's shape; 1 for a tensor of one element.
    retain_graph: keep what the vjps need for a second call; default: as create_graph.
    create_graph: record the computation of the gradients, to differentiate them again.

    A gradient that is there already is added to in its own memory, unless create_graph.
    """
    _backward([self], [gradient], retain_graph, create_graph, inputs)


class _Ends(threading.local):
    """What to call when the backward() that is running ends; None outside of one."""

    callbacks: list[Callable] | None = None


_ends = _Ends()


def _backward(outputs: list[Tensor], cotangents: Any, retain: Any, create_graph: Any, inputs: Any) -> None:
    if retain is not None or create_graph.__class__ is not bool:
        check_flags("backward", retain_graph=retain, create_graph=create_graph)
    only = None if inputs is None else tensors_of(inputs, "inputs")
    if only is not None and not only:
        raise RuntimeError("'inputs' argument to backward cannot be empty")
    roots = roots_of(outputs, cotangents, create_graph)
    for x in only or ():
        x.retain_grad()  # for those that are no leaves: their gradient is left there while the walk passes
    before, _ends.callbacks = _ends.callbacks, []
    try:
        differentiate(roots, only, create_graph if retain is None else retain, create_graph, deposits=True)
        callbacks = _ends.callbacks
    finally:
        _ends.callbacks = before
    for callback in callbacks:
        callback()


def call_at_end(callback: Callable[[], None]) -> bool:
    """Call it when the backward() that is running has left all gradients; False, and no call, outside of one."""
    if _ends.callbacks is None:
        return False
    _ends.callbacks.append(callback)
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
        raise ValueError("materialize_grads=True: expected allow_unused to be True or not passed, but got False")
    check_flags("grad", retain_graph=retain_graph, create_graph=create_graph)
    wanted = tensors_of(inputs, "inputs")
    if not wanted:
        raise ValueError("`inputs` argument to `grad()` cannot be empty.")
    for x in wanted:
        if not x.requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    roots = roots_of(tensors_of(outputs, "outputs"), grad_outputs, create_graph)
    gradients = differentiate(roots, wanted, create_graph if retain_graph is None else retain_graph, create_graph)
    return _for_each(wanted, gradients, bool(allow_unused), materialize_grads)


def _for_each(wanted: list[Tensor], gradients: dict[Any, Tensor], allow_unused: bool, materialize_grads: bool) -> tuple:
    """A gradient for each Tensor, also where one was given twice or the outputs do not depend on it."""
    result: list[Any] = [gradients.get(target_of(x)) for x in wanted]
    seen: set[int] = set()
    for i, (x, gradient) in enumerate(zip(wanted, result)):
        if gradient is not None and id(gradient) in seen:  # x was given twice
            result[i] = own(gradient, True)
        elif gradient is not None:
            seen.add(id(gradient))
        elif materialize_grads:
            result[i] = wrap(xp(x.array).zeros(x.array.shape, x.array.dtype))
        elif not allow_unused:
            raise RuntimeError("a Tensor appears to not have been used in the graph: allow_unused=True gives None for it")
    return tuple(result)


# ---- what is looked at before the walk begins ----------------------------------------------


def check_flags(name: str, **flags: Any) -> None:
    """Raise TypeError unless each is a bool, None, 0 or 1."""
    for argument, value in flags.items():
        if value is not None and value.__class__ is not bool and not (value.__class__ is int and value in (0, 1)):
            require_kind(name, argument, "bool", value)


def tensors_of(tensors: Any, name: str) -> list[Tensor]:
    """A Tensor, or several, as a list. Raises TypeError for anything else."""
    if not isinstance(tensors, (Tensor, Iterable)):
        raise TypeError(f"{name}: expected Tensors, but got {type(tensors).__name__}")
    found = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    for t in found:
        if not isinstance(t, Tensor):
            raise TypeError(f"{name}: expected Tensors, but got {type(t).__name__}")
    return found


def roots_of(outputs: list[Tensor], cotangents: Any, create_graph: bool) -> list[tuple[Target, Any]]:
    """Where the walk starts, and with which gradients; everything is checked before it starts."""
    if cotangents.__class__ is not list and (cotangents is None or isinstance(cotangents, Tensor) or is_array(cotangents)):
        cotangents = [cotangents] * (len(outputs) if cotangents is None else 1)
    given = list(cotangents)
    if len(given) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(given)} gradients")
    roots = []
    for i, (out, g) in enumerate(zip(outputs, given)):
        target = target_of(out)
        if not out.needs_grad or (out.view_of is not None and out.view_of.inherits):
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
        elif not (
            isinstance(g, Tensor)
            and g.array.shape == out.array.shape
            and g.array.dtype is out.array.dtype
            and g.array.__class__ is out.array.__class__
        ):
            g = _cotangent(i, out, g)
        roots.append((target, g if create_graph else g.array))
    return roots


def _cotangent(i: int, out: Tensor, g: Any) -> Tensor:
    """The gradient that was given for the i-th output, as a Tensor of its shape and dtype."""
    if not isinstance(g, Tensor):
        if not is_array(g):
            raise TypeError(f"backward(): gradients can be either Tensors or None, but got {type(g).__name__}: use tensor()")
        g = wrap(g)
    if g.array.shape != out.array.shape:
        raise RuntimeError(f"Mismatch in shape: grad_output[{i}] has a shape of {g.shape} and output[{i}] of {out.shape}")
    if (mixture := mixed_devices("backward", [out.array, g.array])) is not None:
        raise mixture
    return g if g.array.dtype == out.array.dtype else g.to(out.array.dtype)


if hasattr(os, "register_at_fork"):  # in the child the thread that held the lock is not there
    os.register_at_fork(after_in_child=lambda: setattr(engine, "depositing", threading.Lock()))
