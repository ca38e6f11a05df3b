"""In-place edits: what they do to the memory, to its views, and to the histories of both.

An edit writes into the memory that a Tensor shares with its base and its views, counts it in the Version that they
share, and gives the *base* a new history: its old value, with the new one written in where the view shows it. Views
find out by the count, when they are used next, and take their history from the base anew (`refresh`).
"""

from __future__ import annotations

from typing import Any

from tinygrad_norm.autograd.views import Steps, View, replay, set_history, write_through
from tinygrad_norm.backend import Array, overlaps_itself, xp
from tinygrad_norm.engine.op import Node, Op, op
from tinygrad_norm.engine.tensor import Tensor, thread, version_of, wrap


@op
def write_view(base: Any, value: Any, *, steps: Steps) -> Any:
    """`base` with `value` in the place that the steps show."""
    out = xp(base).array(base)  # a copy, also of a NumPy scalar
    write_through(out, value, steps)
    return out


write_view.vjp(
    base=lambda g, steps: write_view(g, 0.0, steps=steps),
    value=lambda g, steps: replay(g, steps),
)


def check_editable(x: Tensor, name: str, *others: Any, constant: bool = False, overlap: bool = False) -> bool:
    """Whether editing x in place, with these other operands, is to be recorded. Raises where PyTorch forbids it.

    Forbidden are leaves that require grad and their views, views that share one element among several places (unless
    all get the same constant, or overlap says that it does no harm), and, where it would be recorded, views made under
    no_grad or by functions that return several.
    """
    recorded = thread.recording and (x.requires_grad or any(isinstance(t, Tensor) and t.requires_grad for t in others))
    array = x.array
    require_writable(array, name, overlap or (constant and not recorded))
    if recorded:
        if x.view_of is not None:
            if x.view_of.edit_error:
                raise RuntimeError(f"{x.view_of.edit_error} ({name}): use the out-of-place form, or clone() it first")
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
    if x.view_of is not None and not x.view_of.is_stand_in:
        source = replay(x.view_of.root(), x.view_of.steps)
    old.node, old.needs_grad = source.node, source.needs_grad
    return old


def _leaf_edited(kind: str, name: str) -> RuntimeError:
    return RuntimeError(f"{kind} that requires grad is being used in an in-place operation ({name}): edit it under no_grad()")


def require_writable(array: Array, name: str, overlap: bool = False) -> None:
    """Raise RuntimeError where an array cannot be edited: it is read-only, or (unless told otherwise) overlaps itself."""
    if not overlap and overlaps_itself(array):
        raise RuntimeError(f"{name}: several elements of this tensor are at a single memory location: clone() it first")
    if not getattr(array.flags, "writeable", True):
        raise RuntimeError(f"{name}: the memory of this tensor is read-only: clone() it first")


def record_edit(op: Op, inputs: tuple, settings: dict, result: Tensor) -> None:
    """Give `result` the Node of a call of op, for what was computed in another way, in place."""
    key, edges, arrays = 1 << len(inputs), [], []
    for position, x in enumerate(inputs):
        arrays.append(x.array if isinstance(x, Tensor) else x)
        if isinstance(x, Tensor) and x.needs_grad:
            key |= 1 << position
            edges.append(x if x.node is None else x.node)
    set_history(result, op.record(key, edges, inputs, arrays, settings, result))


def rebase(x: Tensor, node: Node) -> None:
    """Make `node` the history of x, whose memory was just edited."""
    if x.view_of is None:
        set_history(x, node)
        return
    base, value = x.view_of.root(), wrap(x.array)
    set_history(value, node)
    record_edit(write_view.op, (base, value), {"steps": x.view_of.steps}, base)


def reshape_in_place(x: Tensor, view: Tensor) -> None:
    """Let x become what `view`, a view of it, is. Views made before still show the memory in the old shape."""
    if not (x.needs_grad and x.node is None):
        if x.view_of is None:  # hand the memory on to a Tensor of the old shape; x becomes a view of that
            base = wrap(x.array)
            base.version, base.node, base.needs_grad = version_of(x), x.node, x.needs_grad
            is_stand_in, steps = True, view.view_of.steps
        else:
            is_stand_in, base, steps = x.view_of.is_stand_in, view.view_of.base, view.view_of.steps
        x.view_of = View(base, steps, version_of(x).count, "", is_stand_in)
    x.array = view.array
    if view.node is not None:
        set_history(x, view.node)
