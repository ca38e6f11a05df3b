"""Memory for intermediate results, used again and again.

Above 128 KiB each new array is fresh memory from the system, and touching it for the first time costs
more than computing with it. What lives only inside one kernel is put into a buffer that stays.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np

from tinygrad_norm.backend import Array, xp

_kept = threading.local()
_LARGEST = 256 * 2**20  # bytes; what is larger is not kept


def scratch(like: Array, shape: tuple[int, ...], name: str) -> Array:
    """An array of like's dtype with undefined values, valid until the next call with this name.

    Never save it and never return it. On a GPU CuPy's memory pool does the same.
    """
    size = math.prod(shape)
    if not isinstance(like, np.ndarray) or size * like.itemsize > _LARGEST:
        return xp(like).empty(shape, like.dtype)
    buffers: dict[Any, np.ndarray] = _kept.__dict__
    key = f"{name} {like.dtype}"
    buffer = buffers.get(key)
    if buffer is None or buffer.size < size:
        buffer = buffers[key] = np.empty(size, like.dtype)
    return buffer[:size].reshape(shape)
