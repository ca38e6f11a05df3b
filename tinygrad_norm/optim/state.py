"""What an optimizer's load_state_dict takes: looked at first, and put in place only if it fits."""

from __future__ import annotations

import copy
from collections import defaultdict
from typing import Any

from tinygrad_norm.autograd import Tensor
from tinygrad_norm.backend import is_array
from tinygrad_norm.checks.arguments import require_state_dict
from tinygrad_norm.engine.tensor import wrap
from tinygrad_norm.ops.convert import to


def load(optimizer: Any, state_dict: dict[str, Any]) -> defaultdict[Tensor, dict[str, Any]]:
    """The new state; the settings of the groups are taken over."""
    require_state_dict(state_dict)
    saved = state_dict["param_groups"]
    if len(saved) != len(optimizer.param_groups):
        raise ValueError("loaded state dict has a different number of parameter groups")
    if any(len(s["params"]) != len(g["params"]) for s, g in zip(saved, optimizer.param_groups)):
        raise ValueError("loaded state dict contains a parameter group that doesn't match the size of optimizer's group")
    order = dict(zip((i for s in saved for i in s["params"]), (p for g in optimizer.param_groups for p in g["params"])))
    loaded: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
    for key, values in state_dict["state"].items():
        p = order[key if key in order else int(key)]
        loaded[p] = {name: _fitted(name, value, p) for name, value in values.items()}
    for group, new in zip(optimizer.param_groups, saved):
        group.update({name: copy.deepcopy(value) for name, value in new.items() if name not in ("params", "param_names")})
    return loaded


def _fitted(name: str, value: Any, p: Tensor) -> Any:
    """A value of a loaded state in memory of its own, with the parameter's dtype and device."""
    value = wrap(value) if is_array(value) else value
    if not isinstance(value, Tensor):
        return value
    if name == "step" or not value.ndim:
        return value.detach().clone()
    if value.array.shape != p.array.shape:
        raise ValueError(f"loaded state {name!r} has shape {list(value.shape)}, its parameter {list(p.shape)}")
    return to(value.detach(), p, copy=True)
