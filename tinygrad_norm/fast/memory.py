"""Memory that training steps use again and again."""

from __future__ import annotations

import contextlib
import ctypes


class _Program:
    has_decided = False


def keep_freed_memory(most: int = 2**28) -> None:
    """Let this process keep up to `most` bytes that it freed, for the arrays of the next training step.

    Above 128 KiB each new array is fresh memory from the system, and touching it for the first time costs more than
    computing with it: a step of LeNet then takes 1.2 to 1.7 times as long. So an optimizer calls this when it is made, for the
    whole process, unless the program has called it before. For glibc, by mallopt(3); other C libraries are left as they are.
    Arrays above 32 MiB go back in any case; 0 gives everything back at once.
    """
    _Program.has_decided = True
    trim_threshold, mmap_threshold = -1, -3  # malloc.h
    with contextlib.suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(mmap_threshold, min(max(most, 2**17), 2**25))  # 128 KiB is glibc's own threshold
        mallopt(trim_threshold, most)


def keep_for_training() -> None:
    """Called when an optimizer is made."""
    if not _Program.has_decided:
        keep_freed_memory()
