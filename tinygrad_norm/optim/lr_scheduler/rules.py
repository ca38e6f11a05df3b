"""Rules by the number of the epoch.

They are recursive, as in PyTorch: each step goes on from the lr that a group has now. So an lr set by hand stays, two
schedulers on one optimizer multiply, and a run may be resumed in any order. `_get_closed_form_lr` says the same from the number
alone, for step(epoch).
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any

from tinygrad_norm.checks.arguments import require_state_dict
from tinygrad_norm.optim.lr_scheduler.base import LRScheduler, require_optimizer
from tinygrad_norm.optim.optimizer import Optimizer


class StepLR(LRScheduler):
    """lr times gamma every step_size epochs."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The learning rate of each group for this epoch."""
        due = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return [lr * self.gamma if due else lr for lr in self._rates()]

    def _get_closed_form_lr(self) -> list[float]:
        return [base * self.gamma ** (self.last_epoch // self.step_size) for base in self._bases()]


class MultiStepLR(LRScheduler):
    """lr times gamma at each epoch of milestones, once for each time that it is listed."""

    def __init__(self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.milestones, self.gamma = Counter(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The learning rate of each group for this epoch."""
        return [lr * self.gamma ** self.milestones[self.last_epoch] for lr in self._rates()]

    def _get_closed_form_lr(self) -> list[float]:
        passed = sum(n for epoch, n in self.milestones.items() if epoch <= self.last_epoch)
        return [base * self.gamma**passed for base in self._bases()]


class ExponentialLR(LRScheduler):
    """lr times gamma every epoch."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The learning rate of each group for this epoch."""
        return [lr if self._is_initial else lr * self.gamma for lr in self._rates()]

    def _get_closed_form_lr(self) -> list[float]:
        return [base * self.gamma**self.last_epoch for base in self._bases()]


class _ByFunctions(LRScheduler):
    """A rule with a function of the epoch, one for all groups or one for each."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Callable[[int], float] | list, last_epoch: int = -1) -> None:
        self._one_lambda = not isinstance(lr_lambda, (list, tuple))
        self.lr_lambdas: list = [lr_lambda] if self._one_lambda else list(lr_lambda)  # type: ignore[arg-type]
        require_optimizer(optimizer)
        self.optimizer = optimizer
        for function in self._for_each_group(self.lr_lambdas, self._one_lambda, "lr_lambdas"):
            if not callable(function):
                raise TypeError(f"lr_lambda has to be a function of the epoch, or one for each group, but got {function!r}")
        super().__init__(optimizer, last_epoch)

    def _factors(self) -> list[float]:
        functions = self._for_each_group(self.lr_lambdas, self._one_lambda, "lr_lambdas")
        return [function(self.last_epoch) for function in functions]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer; of "lr_lambdas" the attributes of objects that are called, None for functions."""
        attributes = [None if isinstance(f, FunctionType) else dict(getattr(f, "__dict__", {})) for f in self.lr_lambdas]
        return {**super().state_dict(), "lr_lambdas": attributes}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state_dict of the same scheduler; its functions are those that it was made with."""
        require_state_dict(state_dict)
        super().load_state_dict({name: value for name, value in state_dict.items() if name != "lr_lambdas"})
        for factor, attributes in zip(self.lr_lambdas, state_dict.get("lr_lambdas", ())):
            if attributes is not None:
                vars(factor).update(copy.deepcopy(attributes))


class LambdaLR(_ByFunctions):
    """lr = initial lr * lr_lambda(epoch), with one function, or one for each group."""

    def get_lr(self) -> list[float]:
        """The learning rate of each group for this epoch."""
        return [base * factor for factor, base in zip(self._factors(), self._bases())]


class MultiplicativeLR(_ByFunctions):
    """lr times lr_lambda(epoch) in each epoch but the first."""

    def get_lr(self) -> list[float]:
        """The learning rate of each group for this epoch."""
        return self._rates() if self._is_initial else [lr * factor for lr, factor in zip(self._rates(), self._factors())]


class ConstantLR(LRScheduler):
    """lr times factor until epoch total_iters, then lr as it would be without."""

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1) -> None:
        if not 0 <= factor <= 1:
            raise ValueError("Constant multiplicative factor expected to be between 0 and 1.")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The learning rate of each group for this epoch."""
        change = self.factor if self.last_epoch == 0 else 1 / self.factor if self.last_epoch == self.total_iters else 1
        return [lr * change for lr in self._rates()]

    def _get_closed_form_lr(self) -> list[float]:
        return [base * (1 if self.last_epoch >= self.total_iters else self.factor) for base in self._bases()]


class LinearLR(LRScheduler):
    """lr times a factor that goes from start_factor to end_factor in total_iters epochs, in equal steps: a warm-up."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1:
            raise ValueError("Starting multiplicative factor expected to be greater than 0 and less or equal to 1.")
        if not 0 <= end_factor <= 1:
            raise ValueError("Ending multiplicative factor expected to be between 0 and 1.")
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        return self.start_factor + (self.end_factor - self.start_factor) * min(epoch, self.total_iters) / self.total_iters

    def get_lr(self) -> list[float]:
        """The learning rate of each group for this epoch."""
        if self.last_epoch == 0:
            return [lr * self.start_factor for lr in self._rates()]
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._rates()
        return [lr * (self._factor(self.last_epoch) / self._factor(self.last_epoch - 1)) for lr in self._rates()]

    def _get_closed_form_lr(self) -> list[float]:
        return [base * self._factor(self.last_epoch) for base in self._bases()]


class CosineAnnealingLR(LRScheduler):
    """lr = eta_min + (initial lr - eta_min) * (1 + cos(pi * epoch / T_max)) / 2, step by step.

    Loshchilov and Hutter 2016, arXiv:1608.03983, without restarts.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The learning rate of each group for this epoch."""
        now, before = (1 + math.cos(math.pi * epoch / self.T_max) for epoch in (self.last_epoch, self.last_epoch - 1))
        if self._is_initial:
            return self._rates()
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:  # from the minimum up again
            rise = (1 - math.cos(math.pi / self.T_max)) / 2
            return [lr + (base - self.eta_min) * rise for lr, base in zip(self._rates(), self._bases())]
        return [now / before * (lr - self.eta_min) + self.eta_min for lr in self._rates()]

    def _get_closed_form_lr(self) -> list[float]:
        share = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self._bases()]
