"""load_state_dict: everything is looked at first, and copied only if all of it fits."""

from __future__ import annotations

from typing import Any, NamedTuple

from tinygrad_norm.autograd import Tensor, no_grad
from tinygrad_norm.autograd.edits import require_writable
from tinygrad_norm.backend import is_array
from tinygrad_norm.checks.arguments import require_state_dict
from tinygrad_norm.nn.parameter import Parameter, UninitializedParameter
from tinygrad_norm.ops.creation import as_tensor

EXTRA = "_extra_state"  # the name of get_extra_state's entry in a state_dict


class IncompatibleKeys(NamedTuple):
    """What load_state_dict(strict=False) passed over."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def load(module: Any, state_dict: dict[str, Any], strict: bool, assign: bool) -> IncompatibleKeys:
    """See Module.load_state_dict."""
    require_state_dict(state_dict)
    own = module.state_dict(keep_vars=True)
    versions = getattr(state_dict, "_metadata", {})
    problems: list[str] = []
    state_dict = dict(state_dict)  # for overrides of _load_from_state_dict to change
    optional: set[str] = set()
    for path, part in module.named_modules(remove_duplicate=False):
        prefix, metadata = f"{path}." if path else "", versions.get(path, {})
        part._load_from_state_dict(state_dict, prefix, metadata, strict, [], [], problems)
        optional |= {prefix + name for name in part._newer_keys(metadata.get("version"))}
    missing = [key for key in own if key not in state_dict and key not in optional]
    unexpected = [key for key in state_dict if key not in own]
    for kind, keys in (("Unexpected", unexpected), ("Missing", missing)):
        if strict and keys:
            problems.append(f"{kind} key(s) in state_dict: " + ", ".join(f'"{key}"' for key in keys) + ". ")
    common = [key for key in own if key in state_dict]
    for key in common:
        if key.rpartition(".")[2] != EXTRA and (problem := _problem_of(key, state_dict, own[key], assign)):
            problems.append(problem)
    if problems:
        raise RuntimeError(f"Error(s) in loading state_dict for {type(module).__name__}:\n\t" + "\n\t".join(problems))
    with no_grad():
        for key in common:
            _take(module, key, state_dict[key], own[key], assign)
    return IncompatibleKeys(missing, unexpected)


def _problem_of(key: str, state_dict: dict[str, Any], current: Tensor, assign: bool) -> str:
    """Why the entry cannot be loaded, "" if it can; it is made a Tensor, or a Parameter, on the way."""
    value = state_dict[key]
    try:
        if not (isinstance(value, Tensor) or is_array(value)):
            raise TypeError(f"expected a Tensor, but got {type(value).__name__}")
        value = state_dict[key] = as_tensor(value)
        if assign and isinstance(current, Parameter) and not isinstance(value, Parameter):
            state_dict[key] = Parameter(value, current.requires_grad)
        if not assign:
            require_writable(current.array, "load_state_dict")
    except (TypeError, RuntimeError) as error:
        return f'While copying the parameter named "{key}", {error}.'
    if tuple(value.shape) != tuple(current.shape) and not isinstance(current, UninitializedParameter):
        return (
            f"size mismatch for {key}: copying a param with shape {tuple(value.shape)} from checkpoint, "
            f"the shape in current model is {tuple(current.shape)}."
        )
    return ""


def _take(module: Any, key: str, value: Any, current: Any, assign: bool) -> None:
    """Copy one entry, or (assign) put it in the place of what is there."""
    path, _, name = key.rpartition(".")
    if name == EXTRA:
        module.get_submodule(path).set_extra_state(value)
    elif assign:
        setattr(module.get_submodule(path), name, value)
    else:
        if isinstance(current, UninitializedParameter):
            current.materialize(tuple(value.shape))
        current.detach().copy_(value)
