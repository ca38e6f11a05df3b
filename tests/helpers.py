"""Small things that many tests need."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.backend import is_array, transfer


def leaf(values: Any, dtype: Any = "float64") -> tn.Tensor:
    """A Tensor that requires grad, on the current backend."""
    return tn.tensor(np.asarray(values, dtype=dtype), device=tn.get_backend()).requires_grad_()


def constant(values: Any, dtype: Any = None) -> tn.Tensor:
    """A Tensor that does not, on the current backend."""
    return tn.tensor(np.asarray(values, dtype=dtype), device=tn.get_backend())


def host(value: Any) -> np.ndarray:
    """The values as a NumPy array."""
    if isinstance(value, tn.Tensor):
        value = value.array
    return transfer(value, "cpu") if is_array(value) else np.asarray(value)


def close(found: Any, expected: Any, tolerance: float = 1e-12) -> None:
    """Assert that two results agree, shapes included."""
    found, expected = host(found), host(expected)
    assert found.shape == expected.shape, f"shapes {found.shape} and {expected.shape}"
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def untraced() -> dict[str, str]:
    """The environment without what makes coverage trace a process: an interrupted tracer loses its place."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COV")}


def example(name: str) -> Any:
    """The module examples/<name>.py."""
    folder = str(Path(__file__).parent.parent / "examples")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(name)
