"""What all compiled loops share.

`compiled` is Numba's njit: the interpreter's lock is not held, the machine code is kept beside the source, sums may be taken
in any order (nan and infinity stay what they are), a division by zero gives infinity, and slices are not counted as
references, which takes three quarters of the time of short rows: a loop may not allocate.

Arrays are sliced before a loop, so that it runs over range(len(...)): where an index could be negative, LLVM does not
vectorise; nor does it where more than eight pairs of arrays might overlap.

Numba looks at the file of a function to know whether its machine code is old. Who changes this file, or norm.py, has to delete
what is kept of the others (__pycache__/*.nb?).
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
    options = {**_OPTIONS, **options}
    try:
        loop: Any = njit(**options, cache=True)(function)
    except RuntimeError:  # there is no folder that may be written to
        loop = njit(**options)(function)
    loop._compile_for_args = functools.partial(undisturbed, loop._compile_for_args)  # what Numba calls for new types
    return loop


inlined = functools.partial(compiled, forceinline=True)  # a part of other loops: to hand over dozens of arguments takes .1 us
exact = functools.partial(inlined, fastmath={"contract"})  # its sums are taken in the order in which they are written


# ---- the exponential ----------------------------------------------------------------------

_ONE = np.float32(1)
# log2(e); ln(2) in two parts, n times the first of which is exact, so that nothing is rounded (Cody and Waite 1980)
_LOG2_E, _LN2_HIGH, _LN2_LOW = (np.float32(v) for v in (1.4426950408889634, 0.693359375, -2.12194440e-4))
# (exp(r) - 1 - r) / r**2 for |r| <= ln(2) / 2, interpolated at Chebyshev's points
_POWERS = tuple(np.float32(v) for v in (0.5, 0.16666577, 0.04166646, 0.00836322, 0.00139337))


@exact
def exp(x):
    """e**x of a float32 x <= 0, to about 1 ulp; vectorised, as a call of the library's is not. e**x = 2**n * e**r."""
    x = np.float32(-104) if x < np.float32(-104) else x  # there it is 0
    n = np.rint(x * _LOG2_E)
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    p = (((_POWERS[4] * r + _POWERS[3]) * r + _POWERS[2]) * r + _POWERS[1]) * r + _POWERS[0]
    power = np.int32(n)  # 2**n by the bits of two numbers: those of one go down to 2**-126 only
    half = power >> np.int32(1)
    low, high = (half + np.int32(127)) << np.int32(23), (power - half + np.int32(127)) << np.int32(23)
    return (p * (r * r) + r + _ONE) * np.int32(low).view(np.float32) * np.int32(high).view(np.float32)


# ---- rows of memory -----------------------------------------------------------------------


@functools.lru_cache(maxsize=256)
def order_of(strides: tuple[int, ...]) -> tuple[int, ...]:
    """The dimensions from the one with the longest steps in memory to that with the shortest."""
    return tuple(sorted(range(len(strides)), key=lambda i: (-strides[i], i)))


def place(i: int, n: int, along: bool | None) -> Any:
    """What to look up for a row: numbers i to i + n, or number i where `along` is None. A loop is compiled for each."""
    return i if along is None else slice(i, i + n)


@overload(place)
def _place(i, n, along):
    return (lambda i, n, along: i) if along is types.none else (lambda i, n, along: slice(i, i + n))


def at(v: Any, j: int) -> Any:
    """v[j], or v itself where it is one number for the whole row."""
    return v[j] if isinstance(v, np.ndarray) else v


@overload(at, inline="always")
def _at(v, j):
    if isinstance(v, types.Array):
        return lambda v, j: v[j]
    return lambda v, j: v
