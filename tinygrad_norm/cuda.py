"""What programs ask about GPUs: is there one, how many, wait for it."""

from __future__ import annotations

import functools
from typing import Any

from tinygrad_norm.backend import load
from tinygrad_norm.generator import manual_seed as _manual_seed


@functools.cache
def _cupy() -> Any:
    """The module, None without CuPy or a GPU."""
    try:
        return load("cupy").module
    except (ImportError, RuntimeError):
        return None


def is_available() -> bool:
    """Whether the backend "cupy" can be used."""
    return _cupy() is not None


def device_count() -> int:
    """The number of GPUs."""
    return 0 if _cupy() is None else int(_require().getDeviceCount())


def current_device() -> int:
    """The number of the GPU in use. Raises RuntimeError without one."""
    return _require().getDevice()


def get_device_name(device: Any = None) -> str:
    """The name of the GPU. Raises RuntimeError without one."""
    name = _require().getDeviceProperties(current_device())["name"]
    return name.decode() if isinstance(name, bytes) else name


def _require() -> Any:
    if _cupy() is None:
        raise RuntimeError('no GPU is available: set_backend("cupy") says why, and the backend "numpy" needs none')
    return _cupy().cuda.runtime


def synchronize(device: Any = None) -> None:
    """Wait until the GPU has done what it was given. Raises RuntimeError without one."""
    _require().deviceSynchronize()


def empty_cache() -> None:
    """Give memory that is kept for later back to the GPU; nothing without one."""
    if _cupy() is not None:
        _cupy().get_default_memory_pool().free_all_blocks()


def manual_seed(seed: int) -> None:
    """Seed the default generator, which is one for all devices."""
    _manual_seed(seed)


manual_seed_all = manual_seed
