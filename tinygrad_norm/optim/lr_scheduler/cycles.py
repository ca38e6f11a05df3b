"""Schedules of a whole run: one cycle, cosines with restarts, one scheduler after the other."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from typing import Any

from tinygrad_norm.checks.arguments import require_state_dict
from tinygrad_norm.optim.lr_scheduler.base import LRScheduler, require_optimizer
from tinygrad_norm.optim.optimizer import Optimizer


class CosineAnnealingWarmRestarts(LRScheduler):
    """lr = eta_min + (initial lr - eta_min) * (1 + cos(pi * T_cur / T_i)) / 2, where T_cur counts the epochs since a restart.

    The first cycle takes T_i = T_0 epochs, each other one T_mult times as many as that before. step(epoch) may be given a
    fraction. Loshchilov and Hutter 2016, arXiv:1608.03983.
    """

    def __init__(self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        if not isinstance(T_0, int) or T_0 <= 0:
            raise ValueError(f"Expected positive integer T_0, but got {T_0}")
        if not isinstance(T_mult, int) or T_mult < 1:
            raise ValueError(f"Expected integer T_mult >= 1, but got {T_mult}")
        if not isinstance(eta_min, (float, int)):
            raise ValueError(f"Expected float or int eta_min, but got {eta_min} of type {type(eta_min)}")
        self.T_0, self.T_i, self.T_mult, self.eta_min, self.T_cur = T_0, T_0, T_mult, eta_min, float(last_epoch)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The learning rate of each group for this epoch."""
        share = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self._bases()]

    def step(self, epoch: float | None = None) -> None:
        """Go on to the next epoch, or to a given one."""
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch, self.T_cur = self.last_epoch + 1, self.T_cur + 1
            if self.T_cur >= self.T_i:
                self.T_cur, self.T_i = self.T_cur - self.T_i, self.T_i * self.T_mult
        else:
            if epoch < 0:
                raise ValueError(f"Expected non-negative epoch, but got {epoch}")
            self.T_cur, self.T_i = epoch, self.T_0
            while self.T_cur >= self.T_i:
                self.T_cur, self.T_i = self.T_cur - self.T_i, self.T_i * self.T_mult
        self._go_to(math.floor(epoch))


class OneCycleLR(LRScheduler):
    """lr from max_lr / div_factor up to max_lr in pct_start of all steps, and down to (max_lr / div_factor) / final_div_factor.

    step() is called after each batch: total_steps of them, or epochs * steps_per_epoch. cycle_momentum: meanwhile momentum, or
    the first of betas, goes from max_momentum down to base_momentum and back. three_phase: down to where it began in as many
    steps as up, and further in the rest. anneal_strategy: "cos" or "linear". Smith and Topin 2017, arXiv:1708.07120.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        require_optimizer(optimizer)
        self.optimizer = optimizer
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
            total_steps = epochs * steps_per_epoch
        if not isinstance(total_steps, int) or total_steps <= 0:
            raise ValueError(f"Expected positive integer total_steps, but got {total_steps}")
        if not isinstance(pct_start, float) or not 0 <= pct_start <= 1:
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        self.total_steps, self.cycle_momentum, self._anneal_func_type = total_steps, cycle_momentum, anneal_strategy
        up, high, low, end = pct_start * total_steps - 1, "max_lr", "initial_lr", "min_lr"
        self._phases = [(up, low, high, "max_momentum", "base_momentum")]
        last = total_steps - 1
        down = [(2 * up, high, low, "base_momentum", "max_momentum"), (last, low, end, "max_momentum", "max_momentum")]
        self._phases += down if three_phase else [(last, high, end, "base_momentum", "max_momentum")]
        if cycle_momentum and not {"momentum", "betas"} & set(optimizer.defaults):
            raise ValueError("optimizer must support momentum or beta1 with `cycle_momentum` option enabled")
        if last_epoch == -1:
            self._start(max_lr, base_momentum, max_momentum, div_factor, final_div_factor)
        super().__init__(optimizer, last_epoch)

    def _start(self, max_lr: Any, base_momentum: Any, max_momentum: Any, div_factor: float, final_div_factor: float) -> None:
        """Give each group its rates, and its momentum."""
        highest, lowest, largest = (
            self._for_each_group(list(v) if isinstance(v, (list, tuple)) else [v], not isinstance(v, (list, tuple)), name)
            for v, name in ((max_lr, "max_lr"), (base_momentum, "base_momentum"), (max_momentum, "max_momentum"))
        )
        for group, rate, least, most in zip(self.optimizer.param_groups, highest, lowest, largest):
            first = rate / div_factor
            group.update(initial_lr=first, max_lr=rate, min_lr=first / final_div_factor)
            if self.cycle_momentum:
                group.update(max_momentum=most, base_momentum=least)
                _set_momentum(group, most)

    def get_lr(self) -> list[float]:
        """The learning rate of each group for this step; its momentum is set."""
        if self.last_epoch > self.total_steps:
            raise ValueError(f"Tried to step {self.last_epoch} times, but the number of total steps is {self.total_steps}")
        place = sum(self.last_epoch > end for end, *_ in self._phases[:-1])
        start = self._phases[place - 1][0] if place else 0.0
        end, rate_from, rate_to, momentum_from, momentum_to = self._phases[place]
        share = (self.last_epoch - start) / (end - start)
        rates = []
        for group in self.optimizer.param_groups:
            if rate_from not in group:
                raise KeyError(f"OneCycleLR is made for all groups at once: a group that came later has no {rate_from!r}")
            rates.append(self._between(group[rate_from], group[rate_to], share))
            if self.cycle_momentum:
                _set_momentum(group, self._between(group[momentum_from], group[momentum_to], share))
        return rates

    def _between(self, start: float, end: float, share: float) -> float:
        if self._anneal_func_type == "linear":
            return start + (end - start) * share
        return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


def _set_momentum(group: dict[str, Any], value: float) -> None:
    if "betas" in group:
        group["betas"] = (value, *group["betas"][1:])
    else:
        group["momentum"] = value


class SequentialLR(LRScheduler):
    """One scheduler after the other: the next one from each of the milestones on, as if it were new."""

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ) -> None:
        require_optimizer(optimizer)
        if not schedulers or any(s.optimizer is not optimizer for s in schedulers):
            raise ValueError("SequentialLR expects at least one scheduler, and all of them to belong to its optimizer")
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(f"SequentialLR expects {len(schedulers) - 1} milestones, but got {len(milestones)}")
        self.optimizer, self._schedulers, self._milestones = optimizer, list(schedulers), list(milestones)
        self.last_epoch = last_epoch + 1
        for group in optimizer.param_groups:  # what making them has done is undone
            group["lr"] = group["initial_lr"]
        for scheduler in schedulers:
            scheduler.last_epoch -= 1
        self._schedulers[0]._initial_step()
        self._last_lr = self._schedulers[0].get_last_lr()

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next epoch."""
        self.last_epoch += 1
        place = bisect.bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[place]
        if place and self._milestones[place - 1] == self.last_epoch:
            scheduler._go_to(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer; "_schedulers" are the states of the single ones."""
        own = {name: value for name, value in super().state_dict().items() if name != "_schedulers"}
        return {**own, "_schedulers": [s.state_dict() for s in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state_dict of the same scheduler."""
        require_state_dict(state_dict)
        super().load_state_dict({name: value for name, value in state_dict.items() if name != "_schedulers"})
        for scheduler, state in zip(self._schedulers, state_dict["_schedulers"]):
            scheduler.load_state_dict(state)
