"""RMSprop."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_norm.autograd import Tensor
from tinygrad_norm.backend import Array, xp
from tinygrad_norm.engine.tensor import wrap
from tinygrad_norm.optim.optimizer import Optimizer


class RMSprop(Optimizer):
    """Steps divided by the root of a running mean of the squared gradient.

        g = gradient (its negative if maximize) + weight_decay * p
        v = alpha * v + (1 - alpha) * g**2
        if centered: a = alpha * a + (1 - alpha) * g, and v - a**2 in the place of v
        d = g / (sqrt(v) + eps)
        if momentum: b = momentum * b + d, and b in the place of d
        p = p - lr * d

    Tieleman and Hinton 2012, "Lecture 6.5: rmsprop", COURSERA: Neural Networks for Machine Learning.
    """

    non_negative = {**Optimizer.non_negative, "eps": "epsilon value", "momentum": "momentum value", "alpha": "alpha value"}

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = dict(
            lr=lr, momentum=momentum, alpha=alpha, eps=eps, centered=centered, weight_decay=weight_decay,
            capturable=capturable, foreach=foreach, maximize=maximize, differentiable=differentiable,
        )  # fmt: skip
        super().__init__(params, defaults)

    def update(self, param: Tensor, p: Array, g: Array, group: dict[str, Any]) -> None:
        """The rule above, in place."""
        state, alpha = self.state[param], group["alpha"]
        if not state:
            state.update(step=wrap(np.zeros((), np.float32)), square_avg=self.zeros(p))
            if group["momentum"] > 0:
                state["momentum_buffer"] = self.zeros(p)
            if group["centered"]:
                state["grad_avg"] = self.zeros(p)
        state["step"] += 1
        if group["maximize"]:
            g = -g
        if group["weight_decay"] != 0:
            g = g + group["weight_decay"] * p
        v = state["square_avg"].array
        v *= alpha
        v += (1 - alpha) * (g * g)
        if group["centered"]:
            a = state["grad_avg"].array
            a *= alpha
            a += (1 - alpha) * g
            v = v - a * a
        d = g / (xp(p).sqrt(v) + group["eps"])
        if group["momentum"] > 0:
            b = state["momentum_buffer"].array
            b *= group["momentum"]
            b += d
            d = b
        p -= group["lr"] * d
