"""Gradient clipping, and parameters as one vector."""

from __future__ import annotations

from collections.abc import Iterable

from tinygrad_norm.autograd import Tensor, no_grad
from tinygrad_norm.autograd.edits import require_writable
from tinygrad_norm.backend import xp
from tinygrad_norm.checks.notes import noted
from tinygrad_norm.engine.tensor import mark_edited, wrap
from tinygrad_norm.ops.joining import cat, stack
from tinygrad_norm.ops.reduce import norm


def _listed(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [parameters] if isinstance(parameters, Tensor) else list(parameters)


@noted
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float | str = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients by one factor so that their common norm is at most max_norm; returns the norm before.

    The factor is min(1, max_norm / (norm + 1e-6)). foreach is accepted, and does nothing.
    Raises RuntimeError for a norm that is nan or inf if error_if_nonfinite. Pascanu et al. 2012, arXiv:1211.5063.
    """
    max_norm, norm_type = float(max_norm), float(norm_type)
    gradients = [p.grad.detach() for p in _listed(parameters) if p.grad is not None]
    if not gradients:
        return wrap(xp().zeros((), "float32"))
    total = norm(stack([norm(g, norm_type).float() for g in gradients]), norm_type)
    if error_if_nonfinite and not bool(total.isfinite()):
        raise RuntimeError(f"The total norm of order {norm_type} is non-finite; error_if_nonfinite=False scales all the same")
    factor = (max_norm / (total + 1e-6)).clamp(max=1.0)
    for g in gradients:
        require_writable(g.array, "clip_grad_norm_")
    for g in gradients:
        g.array *= factor.array.astype(g.dtype)
        mark_edited(g, "clip_grad_norm_")
    return total.to(gradients[0].dtype)


@noted
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Clamp each element of each gradient to [-clip_value, clip_value]."""
    clip_value = float(clip_value)
    gradients = [p.grad for p in _listed(parameters) if p.grad is not None]
    for g in gradients:
        require_writable(g.array, "clip_grad_value_")
    with no_grad():
        for g in gradients:
            g.clamp_(-clip_value, clip_value)


@noted
def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters in one vector."""
    return cat([p.reshape(-1) for p in parameters])


@noted
def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """The parts of a vector written into the parameters."""
    start = 0
    for p in parameters:
        size = p.array.size
        p.data = vec[start : start + size].reshape(p.array.shape).detach().clone()
        start += size
