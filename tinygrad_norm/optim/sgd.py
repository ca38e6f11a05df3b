"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from tinygrad_norm.autograd import Tensor
from tinygrad_norm.backend import Array
from tinygrad_norm.fast import replaceable
from tinygrad_norm.optim.optimizer import Optimizer


@replaceable
def sgd_step(p, g, v, lr, momentum, keep, weight_decay, nesterov, maximize):
    """One step of the rule below, in place on p and v, which starts with zeros; keep: 1 - dampening, 1 in the first step."""
    if maximize:
        g = -g
    if weight_decay != 0:
        g = g + weight_decay * p
    if v is not None:
        v *= momentum
        v += keep * g if keep != 1 else g
        g = g + momentum * v if nesterov else v
    p -= lr * g


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, dampening, weight decay and Nesterov's variant.

        g = gradient (its negative if maximize)
        g = g + weight_decay * p
        v = g in the first step, then momentum * v + (1 - dampening) * g
        g = g + momentum * v if nesterov, else v
        p = p - lr * g

    So without momentum p shrinks by the factor 1 - lr * weight_decay in each step.
    Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning".
    """

    non_negative = {**Optimizer.non_negative, "momentum": "momentum value"}

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        defaults = dict(
            lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay, nesterov=nesterov, maximize=maximize,
            foreach=foreach, differentiable=differentiable, fused=fused,
        )  # fmt: skip
        super().__init__(params, defaults)

    def check(self, group: dict[str, Any]) -> None:
        """Raise ValueError for settings that make no sense."""
        super().check(group)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")

    def update(self, param: Tensor, p: Array, g: Array, group: dict[str, Any]) -> None:
        """The rule above, in place."""
        momentum, state = group["momentum"], self.state[param] if group["momentum"] != 0 else {}
        v, first = None, False
        if momentum != 0:
            first = state.get("momentum_buffer") is None
            if first:
                state["momentum_buffer"] = self.zeros(p)
            v = state["momentum_buffer"].array
        keep = 1.0 if first or v is None else 1 - group["dampening"]
        sgd_step(p, g, v, group["lr"], momentum, keep, group["weight_decay"], group["nesterov"], group["maximize"])
