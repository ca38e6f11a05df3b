"""What went wrong in a function of the package, so that its caller finds the place: a note with the call, a short traceback."""

from __future__ import annotations

import difflib
import functools
import inspect
import reprlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from tinygrad_norm.backend import is_array
from tinygrad_norm.checks.errors import FULL, cause, is_foreign, not_broadcastable

F = TypeVar("F", bound=Callable)

# ---- tracebacks without the functions around functions ------------------------------------

_PACKAGE = Path(__file__).parent.parent
_WRAPPERS = {str(_PACKAGE / "checks" / "arguments.py"), str(_PACKAGE / "checks" / "notes.py")}
_WRAPPING = {(str(_PACKAGE / "engine" / "op.py"), "apply"), (str(_PACKAGE / "nn" / "module.py"), "__call__")}


def without_wrappers(error: BaseException) -> None:
    """Take the package's wrappers out of a traceback, save the outermost; TINYGRAD_NORM_TRACEBACK=full leaves them in."""
    at = None if FULL else error.__traceback__
    while at is not None and (inner := at.tb_next) is not None:
        code = inner.tb_frame.f_code
        if code.co_filename in _WRAPPERS or (inner.tb_next is not None and (code.co_filename, code.co_name) in _WRAPPING):
            at.tb_next = inner.tb_next
        else:
            at = inner


def named(wrapper: F, function: Callable) -> F:
    """The wrapper under the function's name, as tracebacks show it."""
    name, code = function.__name__, wrapper.__code__
    wrapper.__code__ = code.replace(co_name=name, co_qualname=function.__qualname__)
    return wrapper


# ---- notes --------------------------------------------------------------------------------


def told(
    name: str, signature: inspect.Signature, args: tuple, kwargs: dict, error: Exception, own: inspect.Signature | None = None
) -> Exception:
    """The error with a note of the call; what Python says of its own accord about a wrong argument becomes a TypeError."""
    if is_foreign(error):
        return error
    without_wrappers(error)
    name = type(args[0]).__name__ if name == "__init__" and args else name
    try:
        given = (own or signature).bind(*(args[1:] if own else args), **kwargs).arguments
    except TypeError as wrong_call:
        return TypeError(f"{name}(): {wrong_call}{_meant(kwargs, own or signature)}")
    better = in_words(name, given, error)
    note = f"in {name}({', '.join(f'{key}={short(value)}' for key, value in given.items() if key != 'self')})"
    notes = better.__dict__.setdefault("__notes__", [])
    if notes and notes[-1] == better.__dict__.get("_call"):  # of a function that this one has called
        notes.pop()
    better._call = note  # type: ignore[attr-defined]
    better.add_note(note)
    return better


def _meant(kwargs: dict, signature: inspect.Signature) -> str:
    """The nearest argument that there is, for the first that there is not."""
    there = signature.parameters.keys() - {"self", "args", "kwargs"}
    wrong = next((key for key in kwargs if key not in there), "")
    near = difflib.get_close_matches(wrong, there, 1)
    return f": did you mean {near[0]!r}, not {wrong!r}?" if near else ""


def in_words(name: str, given: Mapping[Any, Any], error: Exception) -> Exception:
    """What Python or NumPy says of its own accord about a wrong argument as an error of ours; any other as it is."""
    text, better = str(error), error
    arrays = [a for a in (getattr(v, "array", v) for v in given.values()) if is_array(a)]
    if isinstance(error, ValueError) and "could not be broadcast" in text:
        better = RuntimeError(not_broadcastable(arrays) or f"{name}(): {text}")
    elif isinstance(error, AttributeError) and error.name is not None:
        wrong = next((key for key, value in given.items() if value is error.obj), None)
        better = TypeError(f"{name}(): {text}") if wrong is None else _unfit(name, wrong, error.obj)
    elif isinstance(error, (ArithmeticError, StopIteration)) or (isinstance(error, KeyError) and not _is_sentence(error)):
        better = TypeError(f"{name}(): {type(error).__name__} {text}")
    better.__dict__.update(error.__dict__)
    return better.with_traceback(error.__traceback__)


def _is_sentence(error: KeyError) -> bool:
    """Whether a KeyError says something, and does not only bear the key that is missing."""
    return bool(error.args) and isinstance(error.args[0], str) and " " in error.args[0]


def _unfit(name: str, argument: str, value: Any) -> TypeError:
    return TypeError(f"{name}(): argument {argument!r} cannot be {type(value).__name__}: {short(value)}")


def short(value: Any) -> str:
    """A value in a few words."""
    array = getattr(value, "array", value)
    if is_array(array):
        return f"{type(value).__name__} of shape {list(array.shape)}"
    if value.__class__ in (tuple, list) and len(value) < 5:
        words = ", ".join(map(short, value)) + "," * (value.__class__ is tuple and len(value) == 1)
        return f"({words})" if value.__class__ is tuple else f"[{words}]"
    text = reprlib.repr(value)  # of a long list in a moment, of an object that cannot be printed too
    return text if len(text) < 40 else type(value).__name__


_NOTED_METHODS = {"__init__", "apply", "register_buffer", "register_forward_hook", "register_forward_pre_hook"}
_NOTED_METHODS |= {"load_state_dict", "add_param_group", "register_parameter", "add_module", "train", "to"}


def noted(function: F) -> F:
    """Decorator: what goes wrong in a function gets a note with the call. Nothing is looked at before."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            own = getattr(type(args[0]), "__signature__", None) if function.__name__ == "__init__" and args else None
            better = told(function.__name__, signature, args, kwargs, error, own)
            if better is error:
                raise
            raise better from cause(error)

    call.is_checked = True  # type: ignore[attr-defined]
    return cast(F, named(call, function))


def note_all(namespace: dict[str, Any], names: Any) -> None:
    """`noted`, for these functions, and for the constructors and other methods of these classes."""
    for name in names:
        found = namespace[name]
        if inspect.isfunction(found):
            namespace[name] = noted(found)
        elif isinstance(found, type):
            for base in found.__mro__:
                if base.__module__.startswith(__name__.partition(".")[0]) and base.__name__ != "Tensor":
                    for method in _NOTED_METHODS & set(vars(base)):
                        if not hasattr(vars(base)[method], "is_checked"):
                            setattr(base, method, noted(vars(base)[method]))
