"""Optimizer: groups of parameters, each with its settings, and a state per parameter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygrad_norm.autograd import Tensor, enable_grad, wrap
from tinygrad_norm.backend import Array, xp
from tinygrad_norm.ops.creation import zeros_like


class Optimizer:
    """Base class of the update rules; a subclass gives `update` and what it remembers.

    params: Tensors (or (name, Tensor) pairs), or dicts {"params": ..., setting: ...} for groups with
    settings of their own. param_groups may be edited while training, as learning rate schedulers do.
    """

    state_names: tuple[str, ...] = ()  # the arrays of state that state_dict saves

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got a Tensor"
            )
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Train more parameters, with settings of their own."""
        params = group["params"]
        params = [params] if isinstance(params, Tensor) else [p[1] if isinstance(p, tuple) else p for p in params]
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {type(p).__name__}")
            if not p.is_leaf:
                raise ValueError("can't optimize a non-leaf Tensor")
        known = {p for g in self.param_groups for p in g["params"]}
        if known & set(params) or len(set(params)) != len(params):
            raise ValueError("some parameters appear in more than one parameter group")
        group = {**self.defaults, **group, "params": params}
        self.check(group)
        self.param_groups.append(group)

    def check(self, group: dict[str, Any]) -> None:
        """Raise ValueError for settings that make no sense."""
        if not group["lr"] >= 0.0:
            raise ValueError(f"Invalid learning rate: {group['lr']}")
        if not group["weight_decay"] >= 0.0:
            raise ValueError(f"Invalid weight_decay value: {group['weight_decay']}")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or set them to zero."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.grad = None if set_to_none else zeros_like(p.grad)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient. closure: computes the loss (and gradients) anew."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    if p.grad.array.shape != p.array.shape:
                        raise RuntimeError(
                            f"a gradient of shape {list(p.grad.shape)} does not fit its parameter of {list(p.shape)}"
                        )
                    state = self.state.get(p)
                    if state is None:
                        state = self.state[p] = {}
                    self.update(p.array, p.grad.array, state, group)
                    p.counter[0] += 1
                    p.counter[1] = "optimizer.step"
        return loss

    def update(self, p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Change the array p in place, given its gradient g, which stays as it is."""
        raise NotImplementedError

    # ---- state ----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """{"state": {index: {name: value}}, "param_groups": [...]}, with indices for parameters."""
        order = [p for group in self.param_groups for p in group["params"]]
        index = {p: i for i, p in enumerate(order)}
        state = {
            index[p]: {name: wrap(s[name]) if name in self.state_names else s[name] for name in s if name[0] != "_"}
            for p, s in self.state.items()
        }
        groups = [{**group, "params": [index[p] for p in group["params"]]} for group in self.param_groups]
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state_dict of the same optimizer on the same parameters."""
        saved = state_dict["param_groups"]
        if len(saved) != len(self.param_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(len(s["params"]) != len(g["params"]) for s, g in zip(saved, self.param_groups)):
            raise ValueError("loaded state dict contains a parameter group that doesn't match the size of optimizer's group")
        order = [p for group in self.param_groups for p in group["params"]]
        loaded: dict[Tensor, dict[str, Any]] = {}
        for key, values in state_dict["state"].items():
            p = order[int(key)]
            loaded[p] = {name: self._loaded(name, value, p) for name, value in values.items()}
        self.state = loaded
        for group, new in zip(self.param_groups, saved):
            group.update({name: value for name, value in new.items() if name != "params"})

    def _loaded(self, name: str, value: Any, p: Tensor) -> Any:
        if name not in self.state_names:
            return value
        if tuple(value.shape) != tuple(p.shape):
            raise ValueError(f"loaded state {name!r} has shape {list(value.shape)}, its parameter {list(p.shape)}")
        return value.detach().to(p).array.copy() if isinstance(value, Tensor) else xp(p.array).asarray(value, dtype=p.dtype)

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name != "params"]
        return f"{type(self).__name__} (\n" + "\n".join(lines) + "\n)"


def scratch(state: dict[str, Any], like: Array) -> Array:
    """An array for intermediate results, kept with the state so that no step has to allocate one."""
    kept = state.get("_scratch")
    if kept is None or kept.shape != like.shape or kept.dtype != like.dtype:
        kept = state["_scratch"] = xp(like).empty_like(like)
    return kept
