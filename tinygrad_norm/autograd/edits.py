"""In-place edits: what they do to the memory, to its views, and to the histories of both.

An edit writes into the memory that a Tensor shares with its base and its views, counts it in the Version that they
share, and gives the *base* a new history: its old value, with the new one written in where the view shows it. Views
find out by the count, when they are used next, and take their history from the base anew (`refresh`).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_norm.autograd.grad_mode import grad_mode
from tinygrad_norm.autograd.graph import op, shares_memory, show
from tinygrad_norm.autograd.node import Node
from tinygrad_norm.autograd.tensor import Steps, Tensor, View, refresh, set_history, shown, wrap
from tinygrad_norm.backend import Array, xp


def write_through(array: Array, value: Any, steps: Steps) -> None:
    """Write value into the part of the array that the steps show, also where one of them had to copy."""
    part = shown(array, steps)
    if shares_memory(part, array):
        if isinstance(part, np.ndarray) and not part.flags.writeable:
            part.flags.writeable = True  # NumPy protects a diagonal, say
        part[...] = value
    elif part.size:
        places = shown(xp(array).arange(array.size).reshape(array.shape), steps)
        array[xp(array).unravel_index(places, array.shape)] = value


@op
def write_view(base: Any, value: Any, *, steps: Steps) -> Any:
    """`base` with `value` in the place that the steps show."""
    out = xp(base).array(base)  # a copy, also of a NumPy scalar
    write_through(out, value, steps)
    return out


write_view.vjp(
    base=lambda g, steps: write_view(g, 0.0, steps=steps),
    value=lambda g, steps: shown(g, steps),
)


def check_editable(x: Tensor, name: str, *others: Any, constant: bool = False, overlap: bool = False) -> bool:
    """Whether editing x in place, with these other operands, is to be recorded. Raises where PyTorch forbids it.

    Forbidden are leaves that require grad and their views, views that share one element among several places (unless
    all get the same constant, or overlap says that it does no harm), and, where it would be recorded, views made under
    no_grad or by functions that return several.
    """
    if x.view_of is not None:
        refresh(x)
    recorded = grad_mode.enabled and (x.needs_grad or any(isinstance(t, Tensor) and t.requires_grad for t in others))
    array = x.array
    require_writable(array, name, overlap or (constant and not recorded))
    if recorded:
        if x.view_of is not None:
            if x.view_of.frozen:
                raise RuntimeError(f"{x.view_of.frozen} ({name}): use the out-of-place form, or clone() it first")
            if x.needs_grad and x.view_of.root().node is None:
                raise _leaf_edited("a view of a leaf Variable", name)
        if x.needs_grad and x.node is None:
            raise _leaf_edited("a leaf Variable", name)
    return recorded


def before_edit(x: Tensor, array: Array) -> Tensor:
    """x as it was before an edit that is recorded, around `array`: what the new value is computed from.

    Its history is the base's, seen through the view's steps: hooks of the view itself belong to its old value.
    """
    old, source = wrap(array), x
    if x.view_of is not None and not x.view_of.handed_on:
        source = shown(x.view_of.root(), x.view_of.steps)
    old.node, old.needs_grad = source.node, source.needs_grad
    return old


def _leaf_edited(kind: str, name: str) -> RuntimeError:
    return RuntimeError(
        f"{kind} that requires grad is being used in an in-place operation ({name}): "
        "edit it under no_grad(), or edit .data or .detach()"
    )


def require_writable(array: Array, name: str, overlap: bool = False) -> None:
    """Raise RuntimeError where an array cannot be edited: it is read-only, or (unless told otherwise) overlaps itself."""
    if not overlap and overlaps_itself(array):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
            f"Please clone() the tensor before performing the operation ({name})."
        )
    if not getattr(array.flags, "writeable", True):
        raise RuntimeError(f"{name}: the memory of this tensor is read-only: clone() it first")


def is_writable(array: Array) -> bool:
    """Whether each element has a place of its own, and may be edited."""
    return getattr(array.flags, "writeable", True) and not overlaps_itself(array)


def overlaps_itself(array: Array) -> bool:
    """Whether one element may stand in several places, as after expand() or in windows that slide."""
    if array.flags.c_contiguous:
        return False
    reach = array.itemsize  # of the dimensions seen so far
    for step, n in sorted((abs(step), n) for step, n in zip(array.strides, array.shape) if n > 1):
        if step < reach:
            return array.size > 0
        reach += step * (n - 1)
    return False


def mark_edited(x: Tensor, name: str) -> None:
    """Count an edit of x's memory by the method `name`, and bring the copies that stand for views up to date."""
    version = x._edits
    if version is None:  # nobody has asked for it: nothing was saved, and there are no views
        return
    version.count += 1
    version.last_edit = name
    if version.copies:
        if x.view_of is not None:
            root = x.view_of.root().array
            if not shares_memory(x.array, root):
                write_through(root, x.array, x.view_of.steps)
        for copy in version.copies:
            copy.array[...] = shown(copy.view_of.root().array, copy.view_of.steps)  # type: ignore[union-attr]


def rebase(x: Tensor, node: Node) -> None:
    """Make `node` the history of x, whose memory was just edited."""
    if x.view_of is None:
        set_history(x, node)
        return
    base, value = x.view_of.root(), wrap(x.array)
    set_history(value, node)
    write_view.op.record_edit((base, value), {"steps": x.view_of.steps}, base)


def keep_equal(copy: Tensor, source: Tensor, op: Callable, settings: dict) -> None:
    """Make `copy` a view of source though it has memory of its own: an edit of either reaches the other."""
    show(copy, source, op, settings)
    if source.version.copies is None:
        source.version.copies = weakref.WeakSet()
    source.version.copies.add(copy)


def reshape_in_place(x: Tensor, view: Tensor) -> None:
    """Let x become what `view`, a view of it, is. Views made before still show the memory in the old shape."""
    if not (x.needs_grad and x.node is None):
        if x.view_of is None:  # hand the memory on to a Tensor of the old shape; x becomes a view of that
            base = wrap(x.array)
            base.version, base.node, base.needs_grad = x.version, x.node, x.needs_grad
            handed_on, steps = True, view.view_of.steps  # type: ignore[union-attr]
        else:
            handed_on, base, steps = x.view_of.handed_on, view.view_of.base, view.view_of.steps  # type: ignore[union-attr]
        x.view_of = View(base, steps, x.version.count, "")
        x.view_of.handed_on = handed_on
    x.array = view.array
    if view.node is not None:
        set_history(x, view.node)


__all__ = [
    "before_edit",
    "check_editable",
    "keep_equal",
    "mark_edited",
    "rebase",
    "refresh",
    "require_writable",
    "reshape_in_place",
    "write_view",
]
