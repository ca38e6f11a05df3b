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


def scratch_like(x: Array, name: str) -> Array:
    """As scratch, of x's shape and in x's memory order, so that elementwise functions run along both."""
    order = memory_order(x)
    buffer = scratch(x, tuple(x.shape[i] for i in order), name)
    return buffer.transpose(sorted(range(x.ndim), key=order.__getitem__))


def memory_order(x: Array) -> tuple[int, ...]:
    """The dimensions of x from the slowest to the fastest in memory."""
    return tuple(sorted(range(x.ndim), key=lambda i: (-x.strides[i], i)))
