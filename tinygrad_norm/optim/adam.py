"""Adam and AdamW."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_norm.autograd import Tensor, wrap
from tinygrad_norm.backend import Array, xp
from tinygrad_norm.kernels import gpu
from tinygrad_norm.optim.optimizer import Optimizer, check_common, number, plain


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
        check_common(group)
        if not number("eps", group["eps"]) >= 0.0:
            raise ValueError(f"Invalid epsilon value: {group['eps']}")
        for i, beta in enumerate(group["betas"]):
            if not 0.0 <= number("betas", beta) < 1.0:
                raise ValueError(f"Invalid beta parameter at index {i}: {beta}")

    def update(self, param: Tensor, p: Array, g: Array, group: dict[str, Any]) -> None:
        """The rule above, in place."""
        module, (beta1, beta2), lr, state = xp(p), group["betas"], group["lr"], self.state[param]
        decoupled, decay = group["decoupled_weight_decay"], group["weight_decay"]
        if not state:
            state.update(step=wrap(np.zeros((), np.float32)), exp_avg=self.zeros(p), exp_avg_sq=self.zeros(p))
            if group["amsgrad"]:
                state["max_exp_avg_sq"] = self.zeros(p)
        state["step"] += 1
        m, v, work, t = state["exp_avg"].array, state["exp_avg_sq"].array, self.scratch(param), plain(state["step"])
        root, rate = math.sqrt(1 - beta2**t), lr / (1 - beta1**t)
        if gpu.on_gpu(p) and not group["amsgrad"]:
            shrink, coupled = (1 - lr * decay, 0.0) if decoupled else (1.0, decay)
            sign = -1.0 if group["maximize"] else 1.0
            weights = (beta1, 1 - beta1, beta2, 1 - beta2)
            gpu.adam(p, g, m, v, sign, shrink, coupled, *weights, root, group["eps"], rate, p, m, v)
            return
        if group["maximize"]:
            g = -g
        if decay != 0:
            if decoupled:
                p *= 1 - lr * decay
            else:
                g = g + decay * p
        m *= beta1
        m += module.multiply(g, 1 - beta1, out=work)
        v *= beta2
        module.multiply(g, g, out=work)
        work *= 1 - beta2
        v += work
        if group["amsgrad"]:
            largest = state["max_exp_avg_sq"].array
            v = module.maximum(largest, v, out=largest)
        module.sqrt(v, out=work)
        work /= root
        work += group["eps"]
        module.divide(m, work, out=work)
        work *= rate
        p -= work


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
