"""Adam and AdamW."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_norm.autograd import Tensor
from tinygrad_norm.backend import Array, xp
from tinygrad_norm.engine.tensor import wrap
from tinygrad_norm.fast import replaceable
from tinygrad_norm.optim.optimizer import Optimizer, number, plain


@replaceable
def adam_step(p, g, m, v, largest, rate, root, beta1, beta2, eps, decay, shrink, maximize):
    """One step of the rule below, in place on p, m, v and largest.

    rate: lr / (1 - beta1**t); root: sqrt(1 - beta2**t); shrink: 1 - lr * weight_decay where that is decoupled, else 1.
    """
    if maximize:
        g = -g
    if decay != 0:
        g = g + decay * p
    if shrink != 1:
        p *= shrink
    m *= beta1
    m += (1 - beta1) * g
    v *= beta2
    v += (1 - beta2) * (g * g)
    if largest is not None:
        v = xp(v).maximum(largest, v, out=largest)
    p -= rate * (m / (xp(v).sqrt(v) / root + eps))


class Adam(Optimizer):
    """Adam: steps scaled by running means of the gradient and of its square.

        g = gradient (its negative if maximize) + weight_decay * p
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        p = p - lr * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + eps)

    decoupled_weight_decay: p shrinks by 1 - lr * weight_decay instead, and g stays as it is, as in AdamW.
    amsgrad: the largest v so far takes the place of v. Kingma and Ba 2014, arXiv:1412.6980;
    Reddi et al. 2018, arXiv:1904.09237.
    """

    non_negative = {**Optimizer.non_negative, "eps": "epsilon value"}

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        defaults = dict(
            lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad, maximize=maximize, foreach=foreach,
            capturable=capturable, differentiable=differentiable, fused=fused, decoupled_weight_decay=decoupled_weight_decay,
        )  # fmt: skip
        super().__init__(params, defaults)

    def check(self, group: dict[str, Any]) -> None:
        """Raise ValueError for settings that make no sense."""
        super().check(group)
        if not isinstance(group["betas"], (tuple, list)) or len(group["betas"]) != 2:
            raise ValueError(f"Invalid betas: {group['betas']}: expected two numbers")
        for i, beta in enumerate(group["betas"]):
            if not 0.0 <= number("betas", beta) < 1.0:
                raise ValueError(f"Invalid beta parameter at index {i}: {beta}")

    def update(self, param: Tensor, p: Array, g: Array, group: dict[str, Any]) -> None:
        """The rule above, in place."""
        (beta1, beta2), state = group["betas"], self.state[param]
        if not state:
            state.update(step=wrap(np.zeros((), np.float32)), exp_avg=self.zeros(p), exp_avg_sq=self.zeros(p))
            if group["amsgrad"]:
                state["max_exp_avg_sq"] = self.zeros(p)
        state["step"] += 1
        m, v, t = state["exp_avg"].array, state["exp_avg_sq"].array, plain(state["step"])
        largest = state["max_exp_avg_sq"].array if group["amsgrad"] else None
        rate, root = group["lr"] / (1 - beta1**t), math.sqrt(1 - beta2**t)
        decay, shrink = group["weight_decay"], 1.0
        if group["decoupled_weight_decay"]:
            decay, shrink = 0.0, 1 - group["lr"] * decay
        adam_step(p, g, m, v, largest, rate, root, beta1, beta2, group["eps"], decay, shrink, group["maximize"])


class AdamW(Adam):
    """Adam with decoupled weight decay: p = p * (1 - lr * weight_decay) before the step.

    Loshchilov and Hutter 2017, arXiv:1711.05101.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        more = dict(maximize=maximize, foreach=foreach, capturable=capturable, differentiable=differentiable, fused=fused)
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, **more, decoupled_weight_decay=True)  # type: ignore[arg-type]
