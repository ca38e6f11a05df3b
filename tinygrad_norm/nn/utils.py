"""Gradient clipping."""

from __future__ import annotations

import math
from collections.abc import Iterable

from tinygrad_norm.autograd import Tensor, wrap
from tinygrad_norm.backend import xp


def clip_grad_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0) -> Tensor:
    """Scale all gradients by one factor so that their common norm is at most max_norm; returns the norm before.

    The factor is min(1, max_norm / (norm + 1e-6)). Pascanu et al. 2012, arXiv:1211.5063.
    """
    parameters = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return wrap(xp().zeros((), "float32"))
    norms = xp(gradients[0].array).stack([abs(g.detach()).norm(norm_type).array for g in gradients])
    total = wrap(norms).norm(norm_type) if norm_type != math.inf else wrap(norms).amax()
    factor = (max_norm / (total + 1e-6)).clamp(max=1.0)
    for g in gradients:
        g.array *= factor.array.astype(g.dtype)
    return total
