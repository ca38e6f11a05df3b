"""What went wrong in an op, said in the words of tensors."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

from tinygrad_norm.backend import backend_of, is_array

F = TypeVar("F", bound=Callable)


def explain(name: str, inputs: list[Any], broadcasts: bool, error: Exception) -> Exception | None:
    """A clearer error than the array library's, or None where that one says it all."""
    arrays = [x for x in inputs if is_array(x)]
    if isinstance(error, RuntimeError) and not isinstance(error, NotImplementedError):
        return None
    if (mixture := mixed_devices(name, arrays)) is not None:
        return mixture
    if broadcasts and isinstance(error, ValueError):
        return RuntimeError(_not_broadcastable(arrays) or f"{name}: {error}")
    if broadcasts and isinstance(error, TypeError) and "ufunc" in str(error):  # no loop for these dtypes
        found = " and ".join(dict.fromkeys(str(a.dtype) for a in arrays))
        return RuntimeError(f"{name}: not supported for {found}: convert with .float(), .long() or another cast")
    return None


def not_an_operand(name: str, value: Any) -> TypeError:
    """The error for an operand that is neither Tensor, array nor number."""
    return TypeError(f"{name}(): expected a Tensor or a number, but got {type(value).__name__}: convert it with tensor()")


def guarded(function: F) -> F:
    """The function, with errors that come of arguments of the wrong kind said as a TypeError that names the argument.

    Arguments annotated as Tensor have to be Tensors. They are only looked at once something has gone wrong.
    """
    signature = inspect.signature(function)
    tensors = {name for name, p in signature.parameters.items() if str(p.annotation).split(" | ")[0] == "Tensor"}

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (RuntimeError, IndexError, AssertionError, KeyboardInterrupt):
            raise
        except Exception as error:
            try:
                given = signature.bind(*args, **kwargs).arguments
            except TypeError as wrong_call:
                raise TypeError(f"{function.__name__}(): {wrong_call}") from None
            for name, value in given.items():
                if name in tensors and value is not None and not hasattr(value, "needs_grad"):
                    raise TypeError(
                        f"{function.__name__}(): argument {name!r} must be Tensor, not {type(value).__name__}"
                    ) from error
            if isinstance(error, (TypeError, ValueError, NotImplementedError, MemoryError, Warning)):
                raise
            said = ", ".join(f"{name}={type(v).__name__}" for name, v in given.items())
            raise TypeError(f"{function.__name__}(): {error} (called with {said})") from error

    return cast(F, call)


def mixed_devices(name: str, arrays: list[Any]) -> RuntimeError | None:
    """The error for arrays of more than one backend, None if they agree."""
    backends = {b.name: b for b in map(backend_of, arrays)}
    if len(backends) < 2:
        return None
    found = " and ".join(f"{b.device} ({b.name})" for b in backends.values())
    first = next(iter(backends.values())).device
    return RuntimeError(
        f'{name}: expected all tensors to be on the same device, but found {found}: move the others with .to("{first}") first'
    )


def _not_broadcastable(arrays: list[Any]) -> str | None:
    """PyTorch's sentence about the last dimension in which two shapes disagree."""
    for i, a in enumerate(arrays):
        for b in arrays[i + 1 :]:
            ndim = max(a.ndim, b.ndim)
            for back in range(1, min(a.ndim, b.ndim) + 1):
                m, n = a.shape[-back], b.shape[-back]
                if m != n and 1 not in (m, n):
                    return (
                        f"The size of tensor a ({m}) must match the size of tensor b ({n}) "
                        f"at non-singleton dimension {ndim - back}: the shapes are {list(a.shape)} and {list(b.shape)}"
                    )
    return None
