"""Arrays as the page shows them: shape, dtype, moments, and a part of the numbers, at most a few thousand."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from tinygrad_norm.backend import raw, transfer

SIDE, LINE = 64, 512  # rows and columns of a slice, numbers of a vector, at most
NUMBERS, SLICES = 4096, 16  # numbers and slices of an array, at most


class Values:
    """The arrays of a walk, each written once."""

    def __init__(self) -> None:
        self.shown: list[dict[str, Any]] = []
        self._index: dict[tuple, int] = {}

    def add(self, x: Any) -> int:
        """The number of what x, a Tensor or an array, looks like now."""
        shown = shown_as(transfer(raw(x), "cpu"))
        key = tuple(map(str, shown.values()))
        if key not in self._index:
            self._index[key] = len(self.shown)
            self.shown.append(shown)
        return self._index[key]


def shown_as(array: np.ndarray) -> dict[str, Any]:
    """What the page is given of an array.

    The numbers are those of the first few slices (the last two dimensions), in each one row in so many and one column in so
    many where there are more than 64: `part` has how many of each, `steps` the distances, `numbers` is base64.
    """
    array = np.asarray(array)
    shown: dict[str, Any] = {"shape": list(array.shape), "dtype": str(array.dtype), **moments(array)}
    seen = array.reshape((-1, *(1, 1, *array.shape)[-2:])) if array.size else np.zeros((0, 0, 0))
    most = LINE if array.ndim < 2 else SIDE
    row_step, column_step = (max(1, -(-n // most)) for n in seen.shape[1:])
    slices = max(1, min(SLICES, NUMBERS // max(1, seen[0, ::row_step, ::column_step].size if len(seen) else 1)))
    part = seen[:slices, ::row_step, ::column_step]
    kind = "<f4" if array.dtype in (np.float16, np.float32) else "<f8"
    numbers = base64.b64encode(np.ascontiguousarray(part, kind).tobytes()).decode()
    return {**shown, "part": list(part.shape), "steps": [row_step, column_step], "kind": kind, "numbers": numbers}


def moments(array: np.ndarray) -> dict[str, Any]:
    """Mean, standard deviation (n - 1 is not used: it describes, and estimates nothing), least, most, and what stands out."""
    if not array.size or array.dtype.kind not in "fiub":
        return {}
    wide = array.astype(np.float64)
    with np.errstate(all="ignore"):
        found = {"mean": wide.mean(), "std": wide.std(), "min": wide.min(), "max": wide.max()}
    words = {name: float(value) if np.isfinite(value) else str(value) for name, value in found.items()}
    zeros, nan, inf = (np.count_nonzero(at) for at in (wide == 0, np.isnan(wide), np.isinf(wide)))
    return {**words, "zeros": zeros / wide.size, "nan": int(nan), "inf": int(inf)}
