"""A rule by how a metric goes."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_norm.optim.lr_scheduler.base import LRScheduler, require_optimizer, set_lr
from tinygrad_norm.optim.optimizer import Optimizer


class ReduceLROnPlateau(LRScheduler):
    """lr times factor when a metric has not improved for more than `patience` epochs: call step(metric).

    mode: "min" or "max", which is better. threshold: how much better counts, as a share of the best ("rel") or as such
    ("abs"). cooldown: epochs after a reduction in which none is counted as bad. min_lr: a bound, or one for each group.
    eps: a smaller change of lr is not made.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        require_optimizer(optimizer)
        if factor >= 1.0:
            raise ValueError("Factor should be < 1.0.")
        if mode not in ("min", "max"):
            raise ValueError(f"mode {mode} is unknown!")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"threshold mode {threshold_mode} is unknown!")
        self._one_min_lr = not isinstance(min_lr, (list, tuple))
        self.min_lrs: list = [min_lr] if self._one_min_lr else list(min_lr)  # type: ignore[arg-type]
        self.optimizer, self.mode, self.factor, self.patience = optimizer, mode, factor, patience
        self.threshold, self.threshold_mode, self.cooldown, self.eps = threshold, threshold_mode, cooldown, eps
        self._for_each_group(self.min_lrs, self._one_min_lr, "min_lrs")
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0
        self._last_lr = self._rates()

    def step(self, metrics: Any, epoch: int | None = None) -> None:  # type: ignore[override]
        """Count an epoch with this metric, and reduce lr if it is time."""
        current = float(metrics)
        min_lrs = self._for_each_group(self.min_lrs, self._one_min_lr, "min_lrs")
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self.is_better(current, self.best):
            self.best, self.num_bad_epochs = current, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group, lr, least in zip(self.optimizer.param_groups, self._rates(), min_lrs):
                reduced = max(lr * self.factor, least)
                if lr - reduced > self.eps:
                    set_lr(group, reduced)
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = self._rates()

    def is_better(self, a: float, best: float) -> bool:
        """Whether a metric counts as an improvement."""
        sign = 1 if self.mode == "min" else -1
        bound = best * (1 - sign * self.threshold) if self.threshold_mode == "rel" else best - sign * self.threshold
        return sign * a < sign * bound
