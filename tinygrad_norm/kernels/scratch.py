"""Memory used again and again.

Above 128 KiB each new array is fresh memory from the system, and touching it for the first time costs more than
computing with it. So the C library is asked to keep what is freed, for the arrays of the next training step, and what
lives only inside one kernel is put into a buffer that stays.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import math
import threading
from typing import Any

import numpy as np

from tinygrad_norm.backend import Array, xp


def keep_freed_memory(most: int = 2**28) -> None:
    """Let the process keep up to `most` bytes that it freed; larger ones and the arrays above 32 MiB go back.

    For glibc, by mallopt(3); other C libraries are left as they are. 0 gives everything back at once.
    """
    trim_threshold, mmap_threshold = -1, -3  # malloc.h
    with contextlib.suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(mmap_threshold, min(max(most, 2**17), 2**25))  # 128 KiB is glibc's own threshold
        mallopt(trim_threshold, most)


keep_freed_memory()


class _Kept(threading.local):
    """Each thread has its own."""

    def __init__(self) -> None:
        self.buffers: dict[Any, np.ndarray] = {}


_kept = _Kept()
_LARGEST = 256 * 2**20  # bytes; what is larger is not kept


def scratch(like: Array, shape: tuple[int, ...], name: str) -> Array:
    """An array of like's dtype with undefined values, valid until the next call with this name.

    Never save it and never return it. On a GPU CuPy's memory pool does the same.
    """
    size = math.prod(shape)
    if not isinstance(like, np.ndarray) or size * like.itemsize > _LARGEST:
        return xp(like).empty(shape, like.dtype)
    buffers = _kept.buffers
    buffer = buffers.get((name, like.dtype))
    if buffer is None or buffer.size < size:
        buffer = buffers[name, like.dtype] = np.empty(size, like.dtype)
    return buffer[:size].reshape(shape)


def scratch_like(x: Array, name: str) -> Array:
    """As scratch, of x's shape and in x's memory order, so that elementwise functions run along both."""
    if x.flags.c_contiguous:
        return scratch(x, x.shape, name)
    order, back = memory_order(x.shape, x.strides)
    return scratch(x, tuple(x.shape[i] for i in order), name).transpose(back)


@functools.lru_cache(maxsize=4096)
def memory_order(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The dimensions from the slowest to the fastest in memory, and the transposition back from that order."""
    order = tuple(sorted(range(len(shape)), key=lambda i: (-strides[i], i)))
    return order, tuple(sorted(range(len(shape)), key=order.__getitem__))
