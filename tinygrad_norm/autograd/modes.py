"""Whether ops record: no_grad, enable_grad, set_grad_enabled, inference_mode, is_grad_enabled.

The mode belongs to the thread. Each of them works as a context and as a decorator, of generator functions too.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from tinygrad_norm.checks.arguments import require_kind
from tinygrad_norm.engine.tensor import thread

P = ParamSpec("P")
R = TypeVar("R")


def is_grad_enabled() -> bool:
    """Whether ops record, in this thread."""
    return thread.recording


class Mode:
    """Sets these modes of the thread on entry and restores them on exit; one object may be entered many times."""

    before: Any = ()  # for each block that it is in, the modes before it

    def __init__(self, **wanted: Any) -> None:
        self.wanted = wanted
        self.before = []

    def __enter__(self) -> None:
        self.before.append({name: getattr(thread, name) for name in self.wanted})
        vars(thread).update(self.wanted)

    def __exit__(self, *exception: object) -> None:
        vars(thread).update(self.before[-1])
        del self.before[-1]

    def __del__(self) -> None:
        """Ctrl-C just before the first line of __exit__, or in it: the block has ended, and its manager goes."""
        if self.before:
            vars(thread).update(self.before[0])


class ModeFromNow(Mode):
    """Sets them from the call on; as a context, inside it only."""

    in_block = False

    def __init__(self, **wanted: Any) -> None:
        super().__init__(**wanted)
        super().__enter__()

    def __enter__(self) -> None:
        """The call has entered already; this serves an object used in a second `with`."""
        self.in_block = True
        if not self.before:
            super().__enter__()

    def __del__(self) -> None:
        """Called as a function, it goes and the mode stays."""
        if self.in_block:
            super().__del__()


class _Recording(Mode):
    """Whether ops record, for a block or a function."""

    def __init__(self, recording: bool) -> None:
        super().__init__(recording=recording)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorate a function, or a generator function: its body alone runs in this mode."""
        enabled = self.wanted["recording"]

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with _Recording(enabled):
                return function(*args, **kwargs)

        @functools.wraps(function)
        def generate(*args: Any, **kwargs: Any) -> Any:
            source: Any = function(*args, **kwargs)
            return (yield from _resumed(source, enabled))

        return generate if inspect.isgeneratorfunction(function) else call


def _resumed(source: Generator, enabled: bool) -> Generator:
    """A generator that runs in the mode, and leaves its consumer in the consumer's own."""
    resume: Any = source.send
    value: Any = None
    while True:
        with _Recording(enabled):
            try:
                item = resume(value)
            except StopIteration as stop:
                return stop.value
        try:
            resume, value = source.send, (yield item)
        except GeneratorExit:
            with _Recording(enabled):
                source.close()
            raise
        except BaseException as error:
            resume, value = source.throw, error


class _Fixed(_Recording):
    """A mode that needs no argument: the parentheses may be left out of the decorator."""

    mode: bool

    def __init__(self, function: Callable | None = None) -> None:
        super().__init__(self.mode)
        self.function = None if function is None else super().__call__(function)
        if function is not None:
            functools.update_wrapper(self, function)

    if TYPE_CHECKING:

        def __call__(self, function: Callable[P, R]) -> Callable[P, R]: ...

    else:

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            """Decorate the function given; or, made from a function already, call it."""
            return super().__call__(*args, **kwargs) if self.function is None else self.function(*args, **kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """A decorated method is bound as any function is."""
        return self if instance is None else types.MethodType(self, instance)


class no_grad(_Fixed):
    """Do not record: `with no_grad():`, or `@no_grad()` above a function."""

    mode = False


class enable_grad(_Fixed):
    """Record, inside a `no_grad` block too."""

    mode = True


class inference_mode(_Recording):
    """As no_grad, under the name that newer programs use; inference_mode(False) records."""

    def __init__(self, mode: bool = True) -> None:
        super().__init__(not mode)


class set_grad_enabled(ModeFromNow, _Recording):
    """Record or not, from the call on; as a context or a decorator, inside it only."""

    def __init__(self, mode: bool) -> None:
        require_kind("set_grad_enabled", "mode", "bool", mode)
        super().__init__(recording=mode)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorate a function, which alone then runs in this mode."""
        self.__exit__()  # as a decorator it changes nothing until the function is called
        return super().__call__(function)
