"""Warnings that point to the user's line."""

from __future__ import annotations

import sys
import warnings
from types import FrameType

_PACKAGE = __name__.partition(".")[0]


def users_frame() -> FrameType:
    """The innermost frame that is not of this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == _PACKAGE:
        frame = frame.f_back
    return frame


def warn(text: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the user's line."""
    at = users_frame()
    registry = at.f_globals.setdefault("__warningregistry__", {})
    warnings.warn_explicit(text, category, at.f_code.co_filename, at.f_lineno, at.f_globals.get("__name__"), registry)
