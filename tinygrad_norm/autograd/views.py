"""Views: Tensors that share the memory of another, and take their history from it.

A view knows its base, the Tensor that owns the memory, and the ops that show the view of it. When the memory was edited
through another Tensor, the view finds that out by the count of edits when it is used next, and renews its history: the base's
new one, seen through the same ops.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_norm.autograd.hooks import hooks_of, retains_grad
from tinygrad_norm.backend import Array, shares_memory, xp
from tinygrad_norm.engine.op import Node, op
from tinygrad_norm.engine.tensor import Tensor, Version, thread, version_of

Steps = tuple[tuple[Callable, dict], ...]  # ops with their settings, one after the other

_FROZEN = "A view was created in no_grad mode and is being modified inplace with grad mode enabled"
_MOST_STEPS = 50


class View:
    """Why a Tensor shares the memory of another: `base`, shown through `steps`, is the view.

    synced_at: the count of edits that the view's history belongs to; edit_error: why the view may not be edited while
    gradients are recorded, "" if it may; inherits: True for a view that was made without recording (under no_grad) and
    requires grad only because its base does: gradients stop at it; is_stand_in: True if `base` stands for this same Tensor
    as it was before a reshape in place (squeeze_()).
    """

    __slots__ = ("base", "edit_error", "inherits", "is_stand_in", "shape", "steps", "synced_at")

    def __init__(self, base: Tensor, steps: Steps, synced_at: int, edit_error: str, is_stand_in: bool = False) -> None:
        self.base, self.steps, self.synced_at, self.edit_error = base, steps, synced_at, edit_error
        self.inherits, self.is_stand_in = False, is_stand_in
        self.shape = base.array.shape  # a leaf may be reshaped in place, under no_grad; then the steps no longer fit

    def root(self) -> Tensor:
        """The Tensor that owns the memory. After squeeze_() a base is a view of its stand-in: the chain is followed."""
        base = self.base
        while base.view_of is not None:
            base = base.view_of.base
        return base

    def refresh(self, x: Tensor) -> None:
        """Bring the history of x, which is this view, up to date after its memory was edited through another Tensor.

        A view that was made without history, under no_grad say, of a Tensor that requires grad requires it as well.
        """
        edits = x.version.count  # type: ignore[union-attr]
        if x.needs_grad and self.synced_at == edits and not self.inherits:
            return
        base = self.root()
        if self.inherits:
            x.needs_grad = self.inherits = base.needs_grad
        if base.needs_grad and self.synced_at != edits and base.array.shape == self.shape:
            if self.edit_error:
                if not thread.recording:
                    return
                raise RuntimeError(f"{self.edit_error}, and its base or another view was modified inplace: clone() it first")
            before, thread.recording = thread.recording, True
            try:  # one call, as in the engine's differentiate
                renewed = replay(base, self.steps)
            finally:
                thread.recording = before
            if renewed.node is not None:
                set_history(x, renewed.node)
                self.inherits = False
        if base.needs_grad and not x.needs_grad:
            x.needs_grad = self.inherits = True
        self.synced_at = edits


def replay(x: Any, steps: Steps) -> Any:
    """What the steps of a view show of x, an array or a Tensor."""
    for step, settings in steps:
        x = step(x, **settings)
    return x


def set_history(x: Tensor, node: Node) -> None:
    """Make `node` what made x; a gradient that x retains is the new node's."""
    if retains_grad(x):
        x.node.hooks.retained, hooks_of(node).retained = None, weakref.ref(x)  # type: ignore[union-attr]
    x.node, x.needs_grad = node, True


def make_view(op: Callable, inputs: tuple, settings: dict, result: Tensor, copied: bool = False) -> None:
    """Make the result of an op a view of its first input, if it shares the memory, or (copied) though it does not."""
    source = inputs[0]
    array, memory = result.array, source.array
    if not (copied or (array.base is not None and array.base is memory) or shares_memory(array, memory)):
        return
    if isinstance(result.array, np.ndarray) and not result.array.flags.writeable and source.array.flags.writeable:
        result.array.flags.writeable = True  # NumPy's broadcasting: parts in which no element comes twice may be edited
    version = result.version = source.version = source.version or Version()
    parent, base = source.view_of, source
    before: Steps = ()
    edit_error = "" if thread.recording else _FROZEN
    if parent is not None:
        base, before, edit_error = parent.base, parent.steps, edit_error or parent.edit_error
    if len(before) == _MOST_STEPS:  # view of view of view, in a loop: they become one step
        before = ((_picked, {"places": replay(xp(base.array).arange(base.array.size).reshape(base.array.shape), before)}),)
    result.view_of = View(base, (*before, (op, settings)), version.count, edit_error)


def view_op(forward: Callable) -> Any:
    """An op whose result may share memory with its first input."""
    return op(after=make_view)(forward)


@op
def _picked(x: Any, *, places: Array) -> Any:
    """The elements at these places, counted row by row."""
    return x.reshape(-1)[places]


@op
def _placed(g: Any, *, places: Array, shape: tuple[int, ...]) -> Any:
    """Zeros of the shape, with g added at these places."""
    out = xp(g).zeros(math.prod(shape), g.dtype)
    xp(g).add.at(out, places, g)
    return out.reshape(shape)


_picked.vjp(x=lambda g, places, x_shape: _placed(g, places=places, shape=x_shape))
_placed.vjp(g=lambda g, places: _picked(g, places=places))


# ---- views that had to be copied ----------------------------------------------------------


class Copies(weakref.WeakSet):
    """Views that have a memory of their own, and are kept equal to what they would show."""

    def follow(self, x: Tensor) -> None:
        """Write what was written into x into the memory that the views share, and from there into all copies."""
        if x.view_of is not None:
            root = x.view_of.root().array
            if not shares_memory(x.array, root):
                write_through(root, x.array, x.view_of.steps)
        for copy in self:
            copy.array[...] = replay(copy.view_of.root().array, copy.view_of.steps)


def keep_equal(copy: Tensor, source: Tensor, op: Callable, settings: dict) -> None:
    """Make `copy` a view of source though it has memory of its own: an edit of either reaches the other."""
    make_view(op, (source,), settings, copy, copied=True)
    version = version_of(source)
    if version.copies is None:
        version.copies = Copies()
    version.copies.add(copy)


def write_through(array: Array, value: Any, steps: Steps) -> None:
    """Write value into the part of the array that the steps show, also where one of them had to copy."""
    part = replay(array, steps)
    if shares_memory(part, array):
        if isinstance(part, np.ndarray) and not part.flags.writeable:
            part.flags.writeable = True  # NumPy protects a diagonal, say
        part[...] = value
    elif part.size:
        places = replay(xp(array).arange(array.size).reshape(array.shape), steps)
        array[xp(array).unravel_index(places, array.shape)] = value
