"""Quick stand-ins for textbook functions. Nobody has to read this folder to know what is computed.

A function that is marked `@replaceable` says in a few array lines what it does, and runs as it stands on any array. Here, and
only here, something quicker may be put in its place: a function of the same name and signature, in one of the files of this
folder, of which gpu.py is for arrays on a GPU. A stand-in that does not take a case (a dtype, a memory
order) returns NotImplemented, and the textbook function runs.

    TINYGRAD_NORM_FAST=off      the textbook functions alone
    TINYGRAD_NORM_FAST=numpy    without loops that have to be compiled
    TINYGRAD_NORM_FAST=numba    all (the default); without Numba as "numpy"

    conv.py         the lowering of convolution, with NumPy
    norm.py, ...    loops, compiled by Numba when the first large array comes; threads.py spreads them over the cores
    gpu.py          formulas for CuPy
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tinygrad_norm.fast import gpu, threads
from tinygrad_norm.warn import warn

_LEAST_PRODUCT = 2**23  # multiplications for which a second thread is worth waking: .2 ms
LEVELS = ("off", "numpy", "numba")


class StandIn(NamedTuple):
    """The file it is in, and the level it needs."""

    module: str
    level: str


_STEPS = (StandIn("steps", "numba"),)
_LOSS = (StandIn("loss", "numba"),)
_POOL = (StandIn("pool", "numba"),)
_CONV = (StandIn("conv", "numpy"),)
_NORM = (StandIn("norm", "numba"), StandIn("numpy_versions", "numpy"))
# for each function: from how many elements of its first argument on they are quicker (measured), and the quickest first
STAND_INS: dict[str, Any] = {
    "batch_innermost": (0, *_CONV),
    "convolve": (0, *_CONV),
    "convolve_weight_gradient": (0, *_CONV),
    "convolve_input_gradient": (0, *_CONV),
    "masked": (0, StandIn("numpy_versions", "numpy")),
    "total": (2**14, StandIn("numpy_versions", "numpy")),
    "sgd_step": (2**12, *_STEPS, StandIn("numpy_versions", "numpy")),
    "adam_step": (2**12, *_STEPS),
    "relu_of": (2**13, *_STEPS),
    "relu_gradient": (2**13, *_STEPS),
    "sigmoid_of": (2**13, *_STEPS),
    "sigmoid_gradient": (2**13, *_STEPS),
    "tanh_gradient": (2**13, *_STEPS),
    "keep_and_scale": (2**13, *_STEPS),
    "exponentials_of": (2**9, *_LOSS),
    "cross_entropy_gradient": (2**13, *_LOSS),
    "window_maximum": (2**12, *_POOL),
    "scatter_to_maximum": (2**10, *_POOL),
    "window_sum": (2**12, *_POOL),
    "scatter_to_windows": (2**10, *_POOL),
    "moments": (2**10, *_NORM),
    "normalize": (2**10, *_NORM),
    "normalize_gradients": (2**10, StandIn("norm_gradients", "numba"), StandIn("numpy_versions", "numpy")),
}


class _Level:
    """What is in use, for the whole process."""

    current = os.environ.get("TINYGRAD_NORM_FAST", "numba")
    share = 1.0  # a factor on the least sizes in STAND_INS; tests set it to 0


if _Level.current not in LEVELS:
    raise ValueError(f"TINYGRAD_NORM_FAST={_Level.current}: expected one of {', '.join(LEVELS)}")


@contextlib.contextmanager
def level(name: str, share: float = 1.0) -> Iterator[None]:
    """Run a block at another level, with stand-ins from `share` of their usual sizes on."""
    before = _Level.current, _Level.share
    _Level.current, _Level.share = LEVELS[LEVELS.index(name)], share
    try:
        yield
    finally:
        _Level.current, _Level.share = before


def replaceable(function: Callable) -> Any:
    """A function of arrays that others may stand in for; `.textbook` is the function itself."""
    name = function.__name__
    least = STAND_INS[name][0] if name in STAND_INS else float("inf")
    found: dict[str, Callable | None] = {}  # the stand-in at each level, and on a GPU, once it was looked for

    @functools.wraps(function)
    def run(x: Any, *rest: Any) -> Any:
        level = _Level.current if x.__class__ is np.ndarray else "gpu"
        if _Level.current != "off" and (level == "gpu" or x.size >= least * _Level.share):
            if level not in found:
                found[level] = getattr(gpu, name, None) if level == "gpu" else _quickest(name, level)
            quick = found[level]
            if quick is not None and (result := quick(x, *rest)) is not NotImplemented:
                return result
        return function(x, *rest)

    run.textbook = function  # type: ignore[attr-defined]
    return run


def _quickest(name: str, level: str) -> Callable | None:
    """The quickest stand-in of this name, None where there is none at this level."""
    for stand_in in STAND_INS[name][1:]:
        if LEVELS.index(stand_in.level) > LEVELS.index(level):
            continue
        module, compiled = f"{__name__}.{stand_in.module}", stand_in.level == "numba"
        if compiled and importlib.util.find_spec("numba") is None:
            continue
        try:
            found = threads.undisturbed(importlib.import_module, module) if compiled else importlib.import_module(module)
            return getattr(found, name)
        except ImportError as error:
            warn(f"Numba is installed, but cannot be used: {error}. TINYGRAD_NORM_FAST=numpy does without it.")
    return None


def parallel_products(compute: Callable, items: int, multiplications: int) -> None:
    """Call compute(part, lo, hi) for parts that make up range(items), each of which takes so many multiplications of matrices.

    On several threads where BLAS can be told to use one for each.
    """
    if _Level.current == "numba" and threads.one_blas_thread():
        threads.parallel_for(compute, items, max(_LEAST_PRODUCT // max(multiplications, 1), 1))
    else:
        compute(0, 0, items)


def before_product(multiplications: int) -> None:
    """Called before a matrix product of so many multiplications: see threads.py."""
    if _Level.current == "numba":
        threads.before_product(multiplications)
