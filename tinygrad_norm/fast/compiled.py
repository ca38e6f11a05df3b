"""What all compiled loops share.

`compiled` is Numba's njit: the interpreter's lock is not held, the machine code is kept beside the source, sums may be taken
in any order (nan and infinity stay what they are), a division by zero gives infinity, and slices are not counted as
references, which takes three quarters of the time of short rows: a loop may not allocate.

Arrays are sliced before a loop, so that it runs over range(len(...)): where an index could be negative, LLVM does not
vectorise; nor does it where more than eight pairs of arrays might overlap.

Numba looks at the file of a function to know whether its machine code is old. Who changes this file has to delete the others'
(__pycache__/*.nb?).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numba.core import types
from numba.extending import overload

from tinygrad_norm.fast.threads import undisturbed

_OPTIONS: Any = dict(nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz", "arcp"}, _nrt=False)


def compiled(function: Callable, **options: Any) -> Any:
    """The function as a loop in machine code, made when it is first called with arguments of these types."""
    try:
        loop: Any = njit(**_OPTIONS, **options, cache=True)(function)
    except RuntimeError:  # there is no folder that may be written to
        loop = njit(**_OPTIONS, **options)(function)
    loop._compile_for_args = functools.partial(undisturbed, loop._compile_for_args)  # what Numba calls for new types
    return loop


def exact(function: Callable) -> Any:
    """A part of other loops whose sums are taken in the order in which they are written."""
    return njit(**{**_OPTIONS, "fastmath": {"contract"}}, forceinline=True)(function)


inlined = functools.partial(compiled, forceinline=True)  # a part of other loops: to hand over dozens of arguments takes .1 us


@functools.lru_cache(maxsize=256)
def order_of(strides: tuple[int, ...]) -> tuple[int, ...]:
    """The dimensions from the one with the longest steps in memory to that with the shortest."""
    return tuple(sorted(range(len(strides)), key=lambda i: (-strides[i], i)))


def at(v: Any, j: int) -> Any:
    """v[j], or v itself where it is one number for the whole row."""
    return v[j] if isinstance(v, np.ndarray) else v


@overload(at, inline="always")
def _at(v, j):
    if isinstance(v, types.Array):
        return lambda v, j: v[j]
    return lambda v, j: v
