"""A module's names after any order of registering, deleting and naming anew are those that PyTorch's has."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import tinygrad_norm as tn

torch = pytest.importorskip("torch", reason="comparisons need PyTorch: pip install 'tinygrad_norm[compare]'")
pytestmark = pytest.mark.skipif(tn.get_backend() != "numpy", reason="PyTorch computes on the host")

NAMES = ("a", "b", "c", "weight", "training_rate")
VALUES: dict[str, Callable] = {
    "a parameter": lambda T: T.nn.Parameter(T.ones(2)),
    "a tensor": lambda T: T.ones(3),
    "a module": lambda T: T.nn.Linear(1, 2),
    "a norm": lambda T: T.nn.BatchNorm1d(2),
    "None": lambda T: None,
    "a number": lambda T: 3,
}
STEPS: dict[str, Callable] = {
    "set": lambda T, m, name, value: setattr(m, name, value(T)),
    "delete": lambda T, m, name, value: delattr(m, name),
    "parameter": lambda T, m, name, value: m.register_parameter(name, value(T)),
    "buffer": lambda T, m, name, value: m.register_buffer(name, value(T)),
    "passing buffer": lambda T, m, name, value: m.register_buffer(name, value(T), persistent=False),
    "module": lambda T, m, name, value: m.add_module(name, value(T)),
    "by its table": lambda T, m, name, value: m._parameters.__setitem__(name, value(T)),
    "freeze": lambda T, m, name, value: getattr(m, name).requires_grad_(False),
    "load": lambda T, m, name, value: m.load_state_dict({**m.state_dict(), name: value(T)}, strict=False),
}


def names_of(T: Any, m: Any) -> list[Any]:
    """All that says what is in a module."""
    kinds = (m.named_parameters(), m.named_buffers(), m.named_children(), m.named_modules())
    return [
        *([name for name, _ in kind] for kind in kinds),
        {key: tuple(value.shape) for key, value in m.state_dict().items()},
        [list(m.state_dict()), list(T.nn.Sequential(m, T.nn.ModuleList([m])).state_dict())],
        [name for name in NAMES if hasattr(m, name)],
        [p.requires_grad for p in m.parameters()],
    ]


@pytest.mark.parametrize("seed", range(100))
def test_names_after_any_order_of_steps(seed) -> None:
    draw = random.Random(seed)
    ours, theirs = tn.nn.Module(), torch.nn.Module()
    done = []
    for _ in range(draw.randint(3, 14)):
        step, name, value = draw.choice(list(STEPS)), draw.choice(NAMES), draw.choice(list(VALUES))
        if step == "by its table" and (value != "a parameter" or (hasattr(ours, name) and name not in ours._parameters)):
            continue  # PyTorch's tables are plain dicts
        done.append((step, name, value))
        errors = []
        for T, m in ((tn, ours), (torch, theirs)):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    STEPS[step](T, m, name, VALUES[value])
                errors.append(None)
            except (AttributeError, KeyError, TypeError, RuntimeError) as error:
                errors.append(type(error))
        assert errors[0] == errors[1], done[-4:]
        assert names_of(tn, ours) == names_of(torch, theirs), done
