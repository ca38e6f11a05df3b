"""Adam and AdamW."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_norm.backend import Array, xp
from tinygrad_norm.kernels import gpu
from tinygrad_norm.optim.optimizer import Optimizer, scratch


class Adam(Optimizer):
    """Adam: steps scaled by running means of the gradient and of its square.

        g = gradient (its negative if maximize) + weight_decay * p
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        p = p - lr * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + eps)

    amsgrad: the largest v so far takes the place of v. Kingma and Ba 2014, arXiv:1412.6980;
    Reddi et al. 2018, arXiv:1904.09237.
    """

    state_names = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
    decoupled = False  # whether weight decay stays out of the moments

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad, maximize=maximize)
        super().__init__(params, defaults)

    def check(self, group: dict[str, Any]) -> None:
        """Raise ValueError for settings that make no sense."""
        super().check(group)
        if not group["eps"] >= 0.0:
            raise ValueError(f"Invalid epsilon value: {group['eps']}")
        for i, beta in enumerate(group["betas"]):
            if not 0.0 <= beta < 1.0:
                raise ValueError(f"Invalid beta parameter at index {i}: {beta}")

    def update(self, p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        """The rule above, in place."""
        module, (beta1, beta2), lr = xp(p), group["betas"], group["lr"]
        if not state:
            state.update(step=0, exp_avg=module.zeros_like(p), exp_avg_sq=module.zeros_like(p))
            if group["amsgrad"]:
                state["max_exp_avg_sq"] = module.zeros_like(p)
        state["step"] += 1
        m, v, work = state["exp_avg"], state["exp_avg_sq"], scratch(state, p)
        if gpu.on_gpu(p) and not group["amsgrad"]:
            decay = group["weight_decay"]
            shrink, coupled = (1 - lr * decay, 0.0) if self.decoupled else (1.0, decay)
            root, rate = math.sqrt(1 - beta2 ** state["step"]), lr / (1 - beta1 ** state["step"])
            sign = -1.0 if group["maximize"] else 1.0
            weights = (beta1, 1 - beta1, beta2, 1 - beta2)
            gpu.adam(p, g, m, v, sign, shrink, coupled, *weights, root, group["eps"], rate, p, m, v)
            return
        if group["maximize"]:
            g = -g
        if group["weight_decay"] != 0:
            if self.decoupled:
                p *= 1 - lr * group["weight_decay"]
            else:
                g = g + group["weight_decay"] * p
        m *= beta1
        m += module.multiply(g, 1 - beta1, out=work)
        v *= beta2
        module.multiply(g, g, out=work)
        work *= 1 - beta2
        v += work
        if group["amsgrad"]:
            v = module.maximum(state["max_exp_avg_sq"], v, out=state["max_exp_avg_sq"])
        module.sqrt(v, out=work)
        work /= math.sqrt(1 - beta2 ** state["step"])
        work += group["eps"]
        module.divide(m, work, out=work)
        work *= lr / (1 - beta1 ** state["step"])
        p -= work


class AdamW(Adam):
    """Adam with decoupled weight decay: p = p * (1 - lr * weight_decay) before the step.

    Loshchilov and Hutter 2017, arXiv:1711.05101.
    """

    decoupled = True

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
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
