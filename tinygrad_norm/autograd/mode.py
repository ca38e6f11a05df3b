"""Whether ops record: no_grad, enable_grad, set_grad_enabled, is_grad_enabled.

The mode belongs to the thread. Each of the three works as a context and as a decorator.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any


class _Mode(threading.local):
    enabled = True


mode = _Mode()


def is_grad_enabled() -> bool:
    """Whether ops record, in this thread."""
    return mode.enabled


class _Recording:
    """Sets the mode on entry and restores it on exit; one object may be entered many times."""

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled
        self.before: list[bool] = []

    def __enter__(self) -> None:
        self.before.append(mode.enabled)
        mode.enabled = self.enabled

    def __exit__(self, *exception: object) -> None:
        mode.enabled = self.before.pop()

    def __call__(self, function: Callable) -> Callable:
        @functools.wraps(function)
        def inner(*args: Any, **kwargs: Any) -> Any:
            with _Recording(self.enabled):
                return function(*args, **kwargs)

        return inner


class _Fixed(_Recording):
    """A mode that needs no argument: the parentheses may be left out of the decorator."""

    mode: bool

    def __new__(cls, function: Callable | None = None) -> Any:
        return super().__new__(cls) if function is None else cls()(function)

    def __init__(self) -> None:
        super().__init__(self.mode)


class no_grad(_Fixed):
    """Do not record: `with no_grad():`, or `@no_grad()` above a function."""

    mode = False


class enable_grad(_Fixed):
    """Record, inside a `no_grad` block too."""

    mode = True


class set_grad_enabled(_Recording):
    """Record or not, from the call on; as a context or a decorator, inside it only."""

    def __init__(self, mode: bool) -> None:
        super().__init__(bool(mode))
        super().__enter__()

    def __enter__(self) -> None:
        """The call has entered already; this serves an object used in a second `with`."""
        if not self.before:
            super().__enter__()

    def __call__(self, function: Callable) -> Callable:
        """Decorate a function, which alone then runs in this mode."""
        self.__exit__()  # as a decorator it changes nothing until the function is called
        return super().__call__(function)
