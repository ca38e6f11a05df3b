"""Where did the nan come from? detect_anomaly: backward stops at the op whose gradient is the first that is not finite.

    with autograd.detect_anomaly():
        loss = model(x).sum()
        loss.backward()     # RuntimeError: Function 'SqrtBackward' returned inf ... called in train.py, line 12: y = x.sqrt()

The mode belongs to the thread, as grad mode does. Ops note the line that called them, and each gradient is looked at: for
debugging, since it takes several times as long.
"""

from __future__ import annotations

import linecache
import weakref
from typing import Any

from tinygrad_norm.autograd.hooks import input_name
from tinygrad_norm.autograd.modes import Mode, ModeFromNow
from tinygrad_norm.autograd.observers import Observer
from tinygrad_norm.backend import xp
from tinygrad_norm.checks.arguments import require_kind
from tinygrad_norm.engine.op import Node
from tinygrad_norm.engine.tensor import thread
from tinygrad_norm.warn import users_frame

_called: weakref.WeakKeyDictionary[Node, str] = weakref.WeakKeyDictionary()  # where each Node's op was called


class _Anomaly(Observer):
    """Notes where ops are called, and looks at gradients."""

    def __init__(self, check_nan: bool) -> None:
        self.check_nan = check_nan

    def recorded(self, node: Node, inputs: Any, settings: Any, result: Any) -> None:
        """Remember the user's line."""
        frame = users_frame()
        file, line = frame.f_code.co_filename, frame.f_lineno
        text = linecache.getline(file, line, frame.f_globals).strip()
        _called[node] = f"{file}, line {line}, in {frame.f_code.co_name}" + (f": {text}" if text else "")

    def walked(self, node: Node, g: Any, gradients: Any) -> None:
        """Raise if one of the gradients that a Node gave, or the one it was given, is not finite."""
        if not self.check_nan:
            return
        where = f"it was called in {_called[node]}" if node in _called else "it was called outside of detect_anomaly()"
        if kind := _not_finite(g):
            raise RuntimeError(f"the gradient that was given to {node.name()!r} is {kind} already; {where}")
        for position, gx in zip(node.plan.positions, gradients):
            if gx is not None and (kind := _not_finite(gx)):
                raise RuntimeError(
                    f"Function {node.name()!r} returned {kind} values in its {position}th output, "
                    f"the gradient of its input {input_name(node, position)!r}; {where}"
                )


def _not_finite(x: Any) -> str:
    """What there is in x that is no number: "nan", "inf" or ""."""
    array = getattr(x, "array", x)
    if bool(xp(array).isfinite(array).all()):
        return ""
    return "nan" if bool(xp(array).isnan(array).any()) else "inf"


def _observers(anomaly: bool, check_nan: bool) -> tuple:
    others = tuple(see for see in thread.observers if not isinstance(see, _Anomaly))
    return (*others, _Anomaly(check_nan)) if anomaly else others


class detect_anomaly(Mode):
    """In a `with` block: raise a RuntimeError from `backward` or `grad` at the first gradient that is nan or infinite.

    It names the op, the input whose gradient it is, and the line of the forward call. check_nan=False: ops only note where
    they are called.
    """

    def __init__(self, check_nan: bool = True) -> None:
        require_kind("detect_anomaly", "check_nan", "bool", check_nan)
        super().__init__()
        self.check_nan = check_nan

    def __enter__(self) -> None:
        self.wanted = {"observers": _observers(True, self.check_nan)}
        super().__enter__()


class set_detect_anomaly(ModeFromNow):
    """The same from the call on, or no longer; as a context, inside it only."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        require_kind("set_detect_anomaly", "mode", "bool", mode)
        require_kind("set_detect_anomaly", "check_nan", "bool", check_nan)
        super().__init__(observers=_observers(mode, check_nan))


def is_anomaly_enabled() -> bool:
    """Whether ops note where they are called, in this thread."""
    return any(isinstance(see, _Anomaly) for see in thread.observers)


def is_anomaly_check_nan_enabled() -> bool:
    """Whether gradients are looked at as well."""
    return all(see.check_nan for see in thread.observers if isinstance(see, _Anomaly))
