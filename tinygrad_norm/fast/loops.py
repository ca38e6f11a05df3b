"""What all compiled loops share.

`compiled` is Numba's njit: no lock of the interpreter is held, the machine code is kept beside the source, and sums may
be taken in any order; nan and infinity stay what they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numba.core import types
from numba.extending import overload

compiled = njit(nogil=True, cache=True, error_model="numpy", _nrt=False, fastmath={"reassoc", "contract", "nsz", "arcp"})


def at(v: Any, j: int) -> Any:
    """v[j], or v itself where it is one number for the whole row."""
    return v[j] if isinstance(v, np.ndarray) else v


@overload(at, inline="always")
def _at(v, j):
    if isinstance(v, types.Array):
        return lambda v, j: v[j]
    return lambda v, j: v
