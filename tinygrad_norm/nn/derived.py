"""Layers without parameters, made of functions.

`class ELU(Derived, of=F.elu)` takes the arguments that F.elu takes after its input, with their order and defaults. Each is an
attribute, and may be changed; `training` is the module's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from tinygrad_norm.checks.arguments import look_at_settings
from tinygrad_norm.nn.module import Module


class Derived(Module):
    """Base class. of: the function; inputs: how many Tensors it is called with; without: arguments that are no settings;
    order: that of the settings, where it is another than the function's.
    """

    function: Callable[..., Any]
    arguments: tuple[str, ...]
    __signature__: inspect.Signature

    def __init_subclass__(
        cls, of: Callable | None = None, inputs: int = 1, without: tuple[str, ...] = (), order: str = "", **more: Any
    ) -> None:
        super().__init_subclass__(**more)
        if of is not None:
            parameters = [p for p in inspect.signature(of).parameters.values() if p.kind is not p.KEYWORD_ONLY][inputs:]
            if order:
                parameters.sort(key=lambda p: order.split().index(p.name))
            cls.__signature__ = inspect.Signature([p for p in parameters if p.name not in (*without, "training")])
            cls.function, cls.arguments = staticmethod(of), tuple(p.name for p in parameters if p.name not in without)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        given = self.__signature__.bind(*args, **kwargs)
        given.apply_defaults()
        look_at_settings(type(self).__name__, type(self).function, given.arguments)
        self._take(given.arguments)

    def _take(self, settings: dict[str, Any]) -> None:
        """Keep the settings as attributes; a subclass may look at them first."""
        for name, value in settings.items():
            setattr(self, name, value)

    def forward(self, *inputs: Any) -> Any:
        """The function of the inputs, with the settings."""
        return type(self).function(*inputs, **{name: getattr(self, name) for name in self.arguments})

    def extra_repr(self) -> str:
        """The settings; inplace where it is so."""
        shown = [name for name in self.arguments if name != "training" and (name != "inplace" or self.inplace)]
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
