"""What backward and grad are asked for: looked at before the walk begins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinygrad_norm.autograd.errors import mixed_devices, require_kind
from tinygrad_norm.autograd.tensor import Tensor, refresh, wrap
from tinygrad_norm.backend import is_array, xp

Target = Any  # where a gradient goes: a Node, or a leaf Tensor


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


def target_of(x: Tensor) -> Target:
    """Where the gradient of x goes."""
    if x.view_of is not None:
        refresh(x)
    return x if x.node is None else x.node


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
            raise TypeError(f"gradients can be either Tensors or None, but got {type(g).__name__}: convert it with tensor()")
        g = wrap(g)
    if g.array.shape != out.array.shape:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[{i}] has a shape of {g.shape} and output[{i}] has a shape of {out.shape}."
        )
    if (mixture := mixed_devices("backward", [out.array, g.array])) is not None:
        raise mixture
    return g if g.array.dtype == out.array.dtype else g.to(out.array.dtype)
