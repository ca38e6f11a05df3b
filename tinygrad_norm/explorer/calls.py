"""From where an op was called: the user's line, the modules whose forward it is part of, and what Tensors are called there."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any, NamedTuple

from tinygrad_norm.autograd import Tensor
from tinygrad_norm.explorer.sources import shortened
from tinygrad_norm.nn.module import Module
from tinygrad_norm.warn import users_frame


class Call(NamedTuple):
    """The innermost frame that is not of this package, and the calls of modules around it, the outermost first."""

    user: FrameType
    modules: list[FrameType]

    @property
    def line(self) -> dict[str, Any]:
        """The user's line."""
        file, line = self.user.f_code.co_filename, self.user.f_lineno
        return {"file": shortened(file), "line": line, "text": linecache.getline(file, line, self.user.f_globals).strip()}

    def name_of(self, x: Tensor) -> str:
        """What x is called: by the outermost module that has it as a parameter or buffer, or by a variable."""
        for frame in self.modules:
            layer = frame.f_locals["self"]
            for name, tensor in (*layer.named_parameters(), *layer.named_buffers()):
                if tensor is x:
                    return name
        return variable(self.user, x)


def call() -> Call:
    """The call that is running."""
    modules = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code is Module.__call__.__code__:
            modules.append(frame)
        frame = frame.f_back
    return Call(users_frame(), modules[::-1])


def variable(frame: FrameType, x: Tensor) -> str:
    """The name of the variable of this frame that holds x."""
    return next((name for scope in (frame.f_locals, frame.f_globals) for name, value in scope.items() if value is x), "")


def path_of(frame: FrameType, around: FrameType | None, path: str) -> str:
    """The dotted name of the module called in a frame, given that of the module called around it."""
    if around is None:
        return ""
    module, parent = frame.f_locals["self"], around.f_locals["self"]
    name = next((name for name, found in parent.named_modules() if found is module), "")
    return f"{path}.{name}" if path and name else name or path


def names_of(function: str, names: Any) -> dict[int, str]:
    """The names by the Tensors' ids. Raises TypeError for what is neither a Module nor a dict nor None."""
    if names is not None and not isinstance(names, (Module, Mapping)):
        raise TypeError(f"{function}(): argument 'names' must be a Module or a dict, not {type(names).__name__}")
    given = names.named_parameters() if isinstance(names, Module) else (names or {}).items()
    return {id(t): name for name, t in given}
