"""What programs ask about accelerators: there is a GPU, by CuPy, or none."""

from __future__ import annotations

from tinygrad_norm.backend import Device
from tinygrad_norm.cuda import current_device as current_device_index
from tinygrad_norm.cuda import device_count, is_available, synchronize

__all__ = ["current_accelerator", "current_device_index", "device_count", "is_available", "synchronize"]


def current_accelerator(check_available: bool = False) -> Device | None:
    """The device "cuda" if there is one, else None."""
    return Device("cuda") if is_available() else None
