"""What all schedulers share: the base class, and a value for each group."""

from __future__ import annotations

import copy
from typing import Any

from tinygrad_norm.autograd import Tensor
from tinygrad_norm.checks.arguments import require_state_dict
from tinygrad_norm.optim.optimizer import Optimizer, plain
from tinygrad_norm.warn import warn


class LRScheduler:
    """Base class: `get_lr()` returns the lr of each group for the epoch `last_epoch`, from what they have now.

    base_lrs: what each group started with, its "initial_lr". last_epoch: -1 to start, else the epoch to go on from, for
    groups that have an initial_lr.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        require_optimizer(optimizer)
        self.optimizer, self.last_epoch = optimizer, last_epoch
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", plain(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(f"param 'initial_lr' is not specified in param_groups[{i}] when resuming an optimizer")
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True  # during this step() recursive rules leave lr as it is
        self.step()
        self._is_initial = False

    def get_lr(self) -> list[float]:
        """The learning rate of each group for this epoch."""
        raise NotImplementedError

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next epoch, or (deprecated) to a given one."""
        if epoch is not None:
            warn("The epoch parameter in `scheduler.step()` is deprecated: call step() once for each epoch")
        self._go_to(epoch)

    def _go_to(self, epoch: int | None) -> None:
        """The next epoch for None."""
        self._step_count += 1
        self._bases()
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        by_number = None if epoch is None else getattr(self, "_get_closed_form_lr", None)
        rates = (by_number or self.get_lr)()
        groups = self.optimizer.param_groups
        if len(rates) != len(groups):
            raise ValueError(f"{type(self).__name__}: expected a rate for each of {len(groups)} groups, but got {rates}")
        for group, rate in zip(groups, rates):
            set_lr(group, rate)
        self._last_lr = self._rates()

    def _rates(self) -> list[float]:
        return [plain(group["lr"]) for group in self.optimizer.param_groups]

    def _bases(self) -> list[float]:
        """base_lrs; a group that came later starts with the lr that it has."""
        late = self.optimizer.param_groups[len(self.base_lrs) :]
        self.base_lrs += [group.setdefault("initial_lr", plain(group["lr"])) for group in late]
        return self.base_lrs

    def _for_each_group(self, values: list, one: bool, name: str) -> list:
        """The list, of a value for each group; (one) its only value is that of groups that come later too."""
        groups = len(self.optimizer.param_groups)
        values += values[:1] * (groups - len(values)) if one else []
        if len(values) != groups:
            raise ValueError(f"Expected {groups} {name}, but got {len(values)}: one for each group, or one for all")
        return values

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group, as the last step left it."""
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer."""
        return {name: value for name, value in vars(self).items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state_dict of the same scheduler."""
        require_state_dict(state_dict)
        vars(self).update(copy.deepcopy(state_dict))


def require_optimizer(optimizer: Any) -> None:
    """Raise TypeError unless it is one."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")


def set_lr(group: dict[str, Any], rate: float) -> None:
    """Set the learning rate of a group, in the memory of a Tensor that it may be."""
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate
