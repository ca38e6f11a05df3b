"""Element types.

A dtype is NumPy's own `numpy.dtype`; the names below are PyTorch's for the supported ones.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

float64 = double = np.dtype("float64")
float32 = float = np.dtype("float32")
float16 = half = np.dtype("float16")
int64 = long = np.dtype("int64")
int32 = int = np.dtype("int32")
uint8 = np.dtype("uint8")
bool = np.dtype("bool")

DEFAULT = float32
NAMES = ("float64", "double", "float32", "float", "float16", "half", "int64", "long", "int32", "int", "uint8", "bool")
SUPPORTED = (float64, float32, float16, int64, int32, uint8, bool)
_SCALARS: dict[str, Any] = {"float": DEFAULT, "int": int64, "bool": bool}
RANK = {"b": 0, "u": 1, "i": 1, "f": 2}


def of(value: Any) -> np.dtype[Any]:
    """The dtype for one of the supported types, given as PyTorch's name, NumPy's or Python's.

    Python's float is float64, PyTorch's "float" float32.
    """
    if isinstance(value, np.dtype) and value in SUPPORTED:
        return value
    found = globals()[value] if isinstance(value, str) and value in NAMES else None
    if found is None and value is not None:
        with contextlib.suppress(TypeError):
            found = np.dtype(value)
    if found is None or found not in SUPPORTED:
        raise TypeError(f"unsupported dtype {value!r}: expected one of {', '.join(d.name for d in SUPPORTED)}")
    return found


def of_scalar(value: Any) -> np.dtype[Any]:
    """The dtype of a tensor made from a Python number: bool, int64 or float32."""
    name = type(value.item() if isinstance(value, np.generic) else value).__name__
    if name not in _SCALARS:
        raise TypeError(f"expected a number (bool, int or float), but got {name}")
    return _SCALARS[name]
