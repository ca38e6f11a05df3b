"""What went wrong in an op or in the walk, said in the words of tensors."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_norm.backend import array_libraries, backend_of, is_array, plain_array
from tinygrad_norm.promotion import NUMBERS, promoted

FULL = os.environ.get("TINYGRAD_NORM_TRACEBACK") == "full"  # whether tracebacks show the package's wrappers too


def cause(error: Exception) -> Exception | None:
    """What an error that was said in other words is raised from: nothing that a traceback shows, unless it is to be full."""
    return error if FULL else None


# ---- in an op -----------------------------------------------------------------------------


def explained(op: Any, arrays: list, settings: dict, error: Exception) -> Any:
    """What forward gives after all where a number did not fit into a dtype; else raises the error, in the words of tensors."""
    if isinstance(error, OverflowError) and not is_foreign(error):  # a Python number that an integer dtype cannot hold
        return promoted(op.forward, arrays, settings, None)
    clearer = None if is_foreign(error) else explain(op.name, [*arrays, *settings.values()], op.broadcasts, error)
    if clearer is not None:
        raise clearer from cause(error)
    raise error


def explain(name: str, inputs: list[Any], broadcasts: bool, error: Exception) -> Exception | None:
    """A clearer error than the array library's, or None where that one says it all."""
    arrays = [x for x in inputs if is_array(x)]
    if isinstance(error, RuntimeError) and not isinstance(error, NotImplementedError):
        return None
    if (mixture := mixed_devices(name, arrays)) is not None:
        return mixture
    if broadcasts and isinstance(error, ValueError):
        return RuntimeError(not_broadcastable(arrays) or f"{name}: {error}")
    if broadcasts and isinstance(error, TypeError) and "ufunc" in str(error):  # no loop for these dtypes
        found = " and ".join(dict.fromkeys(str(a.dtype) for a in arrays))
        return RuntimeError(f"{name}: not supported for {found}: convert with .float(), .long() or another cast")
    return None


def not_an_operand(name: str, value: Any) -> TypeError:
    """The error for an operand that is neither Tensor, array nor number."""
    return TypeError(f"{name}(): expected a Tensor or a number, but got {type(value).__name__}: convert it with tensor()")


def as_operand(op: Any, x: Any) -> Any:
    """An input that is neither a Tensor nor of the usual kinds. Raises TypeError where an elementwise op cannot take it."""
    if isinstance(x, np.ndarray):
        return plain_array(x)
    alone = len(op.inputs) == 1
    if op.broadcasts and not is_array(x) and not isinstance(x, np.generic if alone else NUMBERS):
        raise wrong_kind(op.name, op.inputs[0], "Tensor", x) if alone else not_an_operand(op.name, x)
    return x


def wrong_kind(name: str, argument: str, kind: str, value: Any) -> TypeError:
    """The error for an argument of another kind than its annotation says."""
    hint = ": convert it with tensor()" if kind.startswith("Tensor") and is_array(value) else ""
    return TypeError(f"{name}(): argument {argument!r} must be {kind}, not {type(value).__name__}{hint}")


_OURS = {"tinygrad_norm", "numba", *sys.stdlib_module_names}


def is_foreign(error: BaseException) -> bool:
    """Whether an error comes out of code of the user's that this package has called: a module, a hook, a data set, an op."""
    at = error.__traceback__
    frames = []
    while at is not None:
        frames.append(at.tb_frame.f_globals.get("__name__", "").partition(".")[0])
        at = at.tb_next
    return not (_OURS | array_libraries()).issuperset(frames)


def mixed_devices(name: str, arrays: list[Any]) -> RuntimeError | None:
    """The error for arrays of more than one backend, None if they agree."""
    backends = {b.name: b for b in map(backend_of, arrays)}
    if len(backends) < 2:
        return None
    found = " and ".join(f"{b.device} ({b.name})" for b in backends.values())
    first = next(iter(backends.values())).device
    return RuntimeError(f'{name}: expected all tensors to be on the same device, but found {found}: use .to("{first}")')


def not_broadcastable(arrays: list[Any]) -> str | None:
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


def freed(node: Any) -> RuntimeError:
    """The error for a second walk through a graph whose saved values are gone."""
    return RuntimeError(
        f"Trying to backward through the graph a second time ({node.name()}): the saved values "
        "were freed by the first. Specify retain_graph=True there if you need to."
    )


def modified(node: Any, slot: int, version: Any, count: int) -> RuntimeError:
    """The error for a saved value that was edited since: `slot` of what the Node saved, at version `count`."""
    plan = node.plan
    what = "output" if plan.names[slot] == "out" else f"input {plan.names[slot]!r}"
    return RuntimeError(
        f"one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"the {what} of {plan.op.name}, saved at version {count}, is now at version {version.count}; "
        f"the last edit was {version.last_edit}. Use the out-of-place form there, or clone() first."
    )


def not_its_shape(node: Any, gx: Any, shape: tuple[int, ...]) -> RuntimeError:
    """The error for a vjp that gave a gradient of another shape than its input's."""
    lead = gx.ndim - len(shape)
    along = [i for i, n in enumerate(gx.shape) if i < lead or (shape[i - lead] == 1 and n != 1)] if lead >= 0 else []
    hint = f": not summed over the broadcast dims {tuple(along)}?" if along else ": its vjp has to give that shape"
    found = f"{node.name()} returned a gradient of shape {list(gx.shape)}"
    return RuntimeError(f"{found} for an input of shape {list(shape)}{hint}")


def not_one_for_each(node: Any, given: Any) -> RuntimeError:
    """The error for a joint vjp that gave too many gradients, or too few."""
    return RuntimeError(f"{node.name()} returned {len(given)} gradients for {node.plan.arity} inputs: None for those without")


def explain_vjp(error: AttributeError) -> None:
    """Raise TypeError if a vjp asked an array for what only a Tensor has, or gave a number where an array is expected."""
    at, node, done = error.__traceback__, None, 0
    while at is not None:
        names, name = at.tb_frame.f_locals, at.tb_frame.f_code.co_name
        if name == "_walk" and "node" in names:
            node = names["node"]
            done = next((i for i, gx in enumerate(names.get("gradients", ())) if gx is error.obj), 0)
        elif name == "_gradients":
            done = len(names.get("gradients", ()))
        at = at.tb_next
    if node is None or not (isinstance(error.obj, NUMBERS) or is_array(error.obj)):
        return
    op = node.plan.op
    of = "" if node.plan.joint else f" for the input {op.inputs[0 if op.variadic else node.plan.positions[done]]!r}"
    number = error.name == "shape" and isinstance(error.obj, NUMBERS)
    what = "it has to give an array of the input's shape" if number else "vjps get arrays (Tensors under create_graph)"
    advice = f"{what}. Write it in operators, array methods and ops"
    raise TypeError(f"the vjp of {op.name}{of}: {error}: {advice}") from cause(error)


# ---- in the declaration of an op ----------------------------------------------------------


def require_free_names(op: Any) -> None:
    """Raise TypeError if an argument of an op has a name that stands for something else in vjps."""
    if reserved := {"out", "needs"} & {*op.inputs, *op.settings}:
        raise TypeError(f"{op.name}: {sorted(reserved)} cannot name an argument of an op: vjps get them from the engine")


def require_input(op: Any, name: str) -> None:
    """Raise TypeError unless the op has an input of that name."""
    if name not in op.inputs:
        raise TypeError(f"{op.name} has no input {name!r} to differentiate: it has {op.inputs}")


def require_sources(op: Any, names: Iterable[str]) -> None:
    """Raise TypeError if a vjp asks for a name that the op cannot give it."""
    for name in names:
        if name not in op.sources:
            raise TypeError(f"a vjp of {op.name} asks for {name!r}: expected one of {list(op.sources)}")
