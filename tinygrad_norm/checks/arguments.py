"""What the annotations of a function say of its arguments, looked at before it runs."""

from __future__ import annotations

import dis
import functools
import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any, TypeVar, cast

import numpy as np

from tinygrad_norm.backend import is_array
from tinygrad_norm.checks.errors import is_foreign, not_broadcastable, wrong_kind

F = TypeVar("F", bound=Callable)


def guarded(function: F, checked: bool = True) -> F:
    """The function, with the arguments that are annotated as Tensor, bool, int, float or str checked before it runs.

    Raises TypeError that names the argument. A Tensor may also be an array, since vjps call these functions with arrays, of
    which NumPy makes scalars where they have no dimensions; the first input of an op is a Tensor. What else goes wrong with
    arguments of the wrong kind is said with what was given; not `checked`: only that.
    """
    signature = inspect.signature(function)
    first = next(iter(signature.parameters), None) if hasattr(function, "op") else None
    checks, named = [], {}
    for position, p in enumerate(signature.parameters.values()):
        kind, _, rest = ("Tensor" if p.name == first and p.annotation is p.empty else str(p.annotation)).partition(" | ")
        if (
            p.name != "inplace"
            and checked
            and kind in _KINDS
            and rest in ("", "None")
            and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        ):
            usual = _KINDS[kind][0]
            if rest or p.default is None:
                usual = TENSORS_OR_NONE if kind == "Tensor" else {*usual, type(None)}
            named[p.name] = check = (position, p.name, kind, usual, _KINDS[kind][1])
            if p.kind is not p.KEYWORD_ONLY:
                checks.append(check)
    takes_numpy_names = hasattr(function, "takes_numpy_names")
    name, of_class = function.__name__, function.__name__ in ("__init__", "forward", "infer")

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if kwargs and takes_numpy_names:
            kwargs = {_NUMPY_NAMES.get(key, key): value for key, value in kwargs.items()}
        count = len(args)
        for position, argument, kind, usual, fits in checks:
            if position >= count:
                break
            value = args[position]
            if value.__class__ not in usual:
                if not fits(value):
                    raise wrong_kind(name, argument, kind, value)
                args = (*args[:position], _plain(kind, value), *args[position + 1 :])
        for argument in kwargs:
            if argument in named:
                _, _, kind, usual, fits = named[argument]
                value = kwargs[argument]
                if value.__class__ not in usual:
                    if not fits(value):
                        raise wrong_kind(name, argument, kind, value)
                    kwargs[argument] = _plain(kind, value)
        try:
            return function(*args, **kwargs)
        except (RuntimeError, AssertionError):
            raise
        except Exception as error:
            if isinstance(error, IndexError) and not str(error).startswith(("list index", "tuple index")):
                raise
            if is_foreign(error):
                raise
            said = type(args[0]).__name__ if of_class and args else name
            own = getattr(type(args[0]), "__signature__", None) if of_class and name == "__init__" and args else None
            better = _said_better(said, own or signature, args[1:] if own else args, kwargs, error)
            better.__dict__.update(error.__dict__)  # its notes
            raise better from error

    call.is_guarded = True  # type: ignore[attr-defined]
    return cast(F, call)


_NUMPY_NAMES = {"axis": "dim", "keepdims": "keepdim"}

_GUARDED_METHODS = {
    *("__init__", "forward", "infer", "apply", "register_buffer", "register_forward_hook", "register_forward_pre_hook"),
    *("load_state_dict", "add_param_group"),
}


def guard_all(namespace: dict[str, Any], names: Any) -> None:
    """Make the errors of these functions, and of these classes' constructors and other methods, say what was given."""
    for name in names:
        found = namespace[name]
        if not isinstance(found, type):
            if inspect.isfunction(found):
                namespace[name] = guarded(found, checked=False)
            continue
        for base in found.__mro__:
            if base.__module__.startswith(__name__.partition(".")[0]) and base.__name__ != "Tensor":
                for method in _GUARDED_METHODS & set(vars(base)):
                    if not hasattr(vars(base)[method], "is_guarded"):
                        setattr(base, method, guarded(vars(base)[method], checked=False))


def _is_integer(x: Any) -> bool:
    return (isinstance(x, (int, np.integer)) and not isinstance(x, bool)) or _is_number_of_kind(x, "iu")


def _is_float(x: Any) -> bool:
    return isinstance(x, (int, float, np.number, np.bool_)) or _is_number_of_kind(x, "fiub")


def _plain(kind: str, value: Any) -> Any:
    """A Tensor that stands for a number as that number."""
    return value.array.item() if kind in ("int", "float") and hasattr(value, "needs_grad") else value


def _is_number_of_kind(x: Any, kinds: str) -> bool:
    """Whether x is a Tensor that stands for a number: without dimensions, and without a history."""
    return hasattr(x, "needs_grad") and not x.array.ndim and x.array.dtype.kind in kinds and not x.needs_grad


TENSORS: set[type] = {np.ndarray}  # and Tensor and Parameter, which add themselves
TENSORS_OR_NONE: set[type] = {np.ndarray, type(None)}


def usual_tensor(kind: type) -> None:
    """Let `guarded` take this class without a second look where a Tensor is expected."""
    TENSORS.add(kind)
    TENSORS_OR_NONE.add(kind)


# for each annotation that is checked: the usual classes, and what else will do
_KINDS: dict[str, tuple[set[type], Callable[[Any], bool]]] = {
    "Tensor": (TENSORS, lambda x: hasattr(x, "needs_grad") or is_array(x) or isinstance(x, np.generic)),
    "bool": ({bool}, lambda x: isinstance(x, np.bool_)),
    "int": ({int}, _is_integer),
    "float": ({float, int}, _is_float),
    "str": ({str}, lambda x: isinstance(x, str)),
}


def require_kind(name: str, argument: str, kind: str, value: Any) -> None:
    """Raise TypeError unless the value is what `guarded` takes for that annotation."""
    if value.__class__ not in _KINDS[kind][0] and not _KINDS[kind][1](value):
        raise wrong_kind(name, argument, kind, value)


def require_state_dict(value: Any) -> None:
    """Raise TypeError unless the value is a mapping."""
    if not isinstance(value, Mapping):
        raise TypeError(f"Expected state_dict to be dict-like, got {type(value)}.")


def _said_better(name: str, signature: inspect.Signature, args: tuple, kwargs: dict, error: Exception) -> Exception:
    """Add the function's name and arguments to an error of Python's or NumPy's, to one of ours what it does not name."""
    try:
        given = signature.bind(*args, **kwargs).arguments
    except TypeError as wrong_call:
        return TypeError(f"{name}(): {wrong_call}")
    if isinstance(error, AttributeError) and error.obj is not None:
        for argument, value in given.items():
            if value is error.obj and (is_array(value) or str(signature.parameters[argument].annotation).startswith("Tensor")):
                return wrong_kind(name, argument, "Tensor", value)
    text = str(error)
    if isinstance(error, ValueError) and "could not be broadcast" in text:
        arrays = [a for a in (getattr(v, "array", v) for v in given.values()) if is_array(a)]
        return RuntimeError(not_broadcastable(arrays) or f"{name}(): {text}")
    if isinstance(error, (TypeError, ValueError, IndexError)):
        if name in text or re.match(r"\w+\(\): ", text) or any(argument in text for argument in given):
            return error
        kind = type(error) if type(error) in (TypeError, ValueError, IndexError) else None
    else:  # of what Python says of its own: a missing attribute, a missing key (no sentence), a division by zero
        own = isinstance(error, (AttributeError, ArithmeticError, StopIteration, KeyError))
        sentence = isinstance(error, KeyError) and isinstance(error.args[0], str) and " " in error.args[0]
        kind = TypeError if own and not sentence else None
    ours = _raised_here(error)
    values = {argument: _short(value, ours) for argument, value in given.items() if argument != "self"}
    said = ", ".join(f"{argument}={value}" for argument, value in values.items() if value)
    if kind is None or (ours and (not said or any(isinstance(v, _SHORT) and str(v) in text for v in given.values()))):
        return error
    return kind(f"{name}(): {text} (called with {said})")


_SHORT = (str, int, float, list, tuple, PurePath)  # values that an error may have in its text


def _raised_here(error: Exception) -> bool:
    """Whether a `raise` of this package made the error, and not an operation that failed."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    if at is None:
        return False
    home = at.tb_frame.f_globals.get("__name__", "")
    instruction = dis.opname[at.tb_frame.f_code.co_code[at.tb_lasti]]
    return instruction == "RAISE_VARARGS" and home.startswith(__name__.partition(".")[0])


def _short(value: Any, or_nothing: bool = False) -> str:
    """A value in a few words; its kind, or nothing, if they do not say more."""
    array = getattr(value, "array", value)
    if is_array(array):
        return f"{type(value).__name__} of shape {list(array.shape)}"
    text = repr(value)
    return text if len(text) < 40 else "" if or_nothing else type(value).__name__
