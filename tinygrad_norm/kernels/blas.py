"""What the BLAS library behind NumPy is fast at.

OpenBLAS packs two matrices before it multiplies them. For processors with AVX-512 it has kernels besides that take
small matrices as they lie: those with M * N * K of at most a million and, where both run along K in memory, M * N of at
most 1200 (https://github.com/OpenMathLib/OpenBLAS/pull/3335). They are two to three times as fast. So a large product is
cut into pieces of that size, which one call of matmul takes as a stack of views, unless the pieces would be thin.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib

from tinygrad_norm.backend import Array

SMALL = 10**6  # M * N * K
SMALL_ALONG_K = 1200  # M * N


@functools.cache
def core() -> str:
    """The processor that OpenBLAS computes for, by its own name, as "Haswell"; "" for another library."""
    extension = importlib.import_module("numpy._core._multiarray_umath")
    with contextlib.suppress(OSError, TypeError):
        library = ctypes.CDLL(extension.__file__)  # looks in what it is linked to as well
        for name in ("scipy_openblas_get_corename64_", "openblas_get_corename64_", "openblas_get_corename"):
            with contextlib.suppress(AttributeError):
                function = getattr(library, name)
                function.restype = ctypes.c_char_p
                return str(function(), "ascii")
    return ""


def has_small_kernels() -> bool:
    """Whether small products are faster."""
    return core() in ("SkylakeX", "Cooperlake", "SapphireRapids")


@functools.lru_cache(maxsize=1024)
def pieces(length: int, most: int, least: int) -> int:
    """Into how many equal pieces to cut a dimension, each of `least` to `most`; 1 where that cannot be, or does not help."""
    if length <= most or most < least or not has_small_kernels():
        return 1
    return next((n for n in range(-(-length // most), length // least + 1) if length % n == 0), 1)


def cut(matrices: Array, n: int) -> Array:
    """Matrices (..., rows, columns) as (..., n, rows, columns / n), without a copy."""
    *others, columns = matrices.shape
    return matrices.reshape(*others, n, columns // n).swapaxes(-3, -2)
