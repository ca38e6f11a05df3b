"""Optimizer: groups of parameters, each with its settings, and a state per parameter."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from tinygrad_norm.autograd import Tensor, enable_grad
from tinygrad_norm.autograd.edits import require_writable
from tinygrad_norm.backend import Array, xp
from tinygrad_norm.engine.tensor import mark_edited, wrap
from tinygrad_norm.fast.memory import keep_for_training
from tinygrad_norm.nn.parameter import reset_gradient
from tinygrad_norm.optim.state import load
from tinygrad_norm.warn import warn


class Optimizer:
    """Base class of the update rules.

    params: Tensors (or (name, Tensor) pairs), or dicts {"params": ..., setting: ...} for groups with settings of their
    own. param_groups may be edited while training, as learning rate schedulers do. state[p] is a dict for each
    parameter p, empty before the first step.

    A subclass gives `update`, the rule for one parameter, and perhaps `check` for its settings; or, as in PyTorch, a
    `step` of its own. lr and other settings may be Tensors of one element.
    """

    non_negative = {"lr": "learning rate", "weight_decay": "weight_decay value"}  # settings, and what an error calls them

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor) or not isinstance(params, Iterable):
            raise TypeError(f"params should be an iterable of Tensors or dicts, but got {type(params).__name__}")
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)
        keep_for_training()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Train more parameters, with settings of their own."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        given = param_group["params"]
        if isinstance(given, set):
            raise TypeError("optimizer parameters need to be organized in ordered collections. Please use a list instead")
        items = [given] if isinstance(given, Tensor) else list(given)
        param_group["params"] = items  # as PyTorch does: another optimizer may be given the same dict, and this was a generator
        params = [p[1] if isinstance(p, tuple) else p for p in items]
        names = [p[0] for p in items if isinstance(p, tuple)]
        if names and len(names) != len(params):
            raise ValueError("all optimizer params should be with/without names. Some param names are missing")
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {type(p).__name__}")
            if not (p.is_leaf or p.retains_grad):
                raise ValueError("can't optimize a non-leaf Tensor")
        if len(set(params)) != len(params):
            warn("optimizer contains a parameter group with duplicate parameters; in future, this will cause an error")
        group = {**self.defaults, **param_group, "params": params, **({"param_names": names} if names else {})}
        for other in self.param_groups:
            if ("param_names" in group) != ("param_names" in other):
                raise ValueError("all optimizer param groups should be with/without names")
        if {p for g in self.param_groups for p in g["params"]} & set(params):
            raise ValueError("some parameters appear in more than one parameter group")
        self.check(group)
        self.param_groups.append(group)

    def check(self, group: dict[str, Any]) -> None:
        """Raise ValueError for settings that make no sense."""
        for name, said in self.non_negative.items():
            value = group.get(name, 0)
            if isinstance(value, Tensor) and value.array.size != 1:
                raise ValueError(f"Tensor {name} must be 1-element")
            if not number(name, value) >= 0.0:
                raise ValueError(f"Invalid {said}: {value}")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or set them to zero, in their own memory."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p._grad = None
                else:
                    reset_gradient(p, False)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient. closure: computes the loss (and gradients) anew."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        settings = {id(group): _plain_settings(group) for group in self.param_groups}
        trained = [(p, group) for group in self.param_groups for p in group["params"] if p._grad is not None]
        for p, _ in trained:
            if not getattr(p.array.flags, "carray", False):
                require_writable(p.array, "optimizer.step")
            if p._grad.array.shape != p.array.shape:
                raise RuntimeError(f"a parameter of shape {list(p.shape)} has a gradient of shape {list(p._grad.shape)}")
        for p, group in trained:
            self.update(p, p.array, p._grad.array, settings[id(group)])
            mark_edited(p, "optimizer.step")
        return loss

    def update(self, param: Tensor, p: Array, g: Array, group: dict[str, Any]) -> None:
        """Change the array p of a parameter in place, given its gradient g, which stays as it is."""
        raise NotImplementedError(f"{type(self).__name__} defines neither update() nor step()")

    def zeros(self, p: Array) -> Tensor:
        """Zeros to start a state with."""
        return wrap(xp(p).zeros_like(p))

    # ---- state ----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """{"state": {index: {name: value}}, "param_groups": [...]}, with indices for parameters."""
        order = [p for group in self.param_groups for p in group["params"]]
        index = {p: i for i, p in reversed(list(enumerate(order)))}
        state = {index[p]: dict(s) for p, s in self.state.items() if s and p in index}
        groups = [{**group, "params": [index[p] for p in group["params"]]} for group in self.param_groups]
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state_dict of the same optimizer on the same parameters; nothing changes if it does not fit."""
        self.state = load(self, state_dict)

    def __repr__(self) -> str:
        shown = f"{type(self).__name__} ("
        for i, group in enumerate(self.param_groups):
            settings = (f"    {name}: {group[name]}\n" for name in sorted(group) if name != "params")
            shown += f"\nParameter Group {i}\n" + "".join(settings)
        return shown + ")"


def plain(value: Any) -> Any:
    """A setting as a number: a Tensor's only element."""
    if isinstance(value, Tensor):
        return value.item()
    return tuple(plain(v) for v in value) if isinstance(value, (tuple, list)) else value


def _plain_settings(group: dict[str, Any]) -> dict[str, Any]:
    """The group's settings, with numbers in the place of Tensors."""
    settings = {}
    for name, value in group.items():
        if name not in ("params", "param_names"):
            settings[name] = value if value.__class__ in (float, int, bool, type(None)) else plain(value)
    return settings


def number(name: str, value: Any) -> float:
    """A setting as a number. Raises TypeError if it is none."""
    found = plain(value)
    if not isinstance(found, (int, float)):
        raise TypeError(f"{name} has to be a number or a Tensor of one element, but got {type(value).__name__}")
    return found
