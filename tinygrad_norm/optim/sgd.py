"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_norm.autograd import Tensor, wrap
from tinygrad_norm.backend import Array
from tinygrad_norm.kernels import gpu
from tinygrad_norm.optim.optimizer import Optimizer, check_common, number


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
        check_common(group)
        if not number("momentum", group["momentum"]) >= 0.0:
            raise ValueError(f"Invalid momentum value: {group['momentum']}")
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")

    def update(self, param: Tensor, p: Array, g: Array, group: dict[str, Any]) -> None:
        """The rule above, in place; `work` holds what the rule calls g."""
        if p.__class__ is not np.ndarray:
            self._update_on_gpu(param, p, g, group)
            return
        work, momentum, weight_decay = self.scratch(param), group["momentum"], group["weight_decay"]
        if group["maximize"]:
            g = -g
        if weight_decay != 0:
            g = np.add(np.multiply(p, weight_decay, work), g, work)
        if momentum != 0:
            state = self.state[param]
            if state.get("momentum_buffer") is None:
                state["momentum_buffer"] = wrap(g.copy())
                v = state["momentum_buffer"].array
            else:
                v = state["momentum_buffer"].array
                v *= momentum
                v += g if group["dampening"] == 0 else g * (1 - group["dampening"])
            g = g + momentum * v if group["nesterov"] else v
        p -= np.multiply(g, group["lr"], work)

    def _update_on_gpu(self, param: Tensor, p: Array, g: Array, group: dict[str, Any]) -> None:
        momentum, sign = group["momentum"], -1.0 if group["maximize"] else 1.0
        v, keep, rest = p, 1.0, 0.0  # without a buffer, and in its first step, it is the gradient
        if momentum != 0:
            state = self.state[param]
            if state.get("momentum_buffer") is not None:
                keep, rest = 1 - group["dampening"], momentum
            else:
                state["momentum_buffer"] = self.zeros(p)
            v = state["momentum_buffer"].array
        now, look_ahead = (1.0, momentum) if group["nesterov"] else (0.0, 1.0)
        v_new = v if momentum != 0 else self.scratch(param)
        gpu.sgd(p, g, v, sign, group["weight_decay"], rest, keep, now, look_ahead, group["lr"], p, v_new)
