"""In-place edits, and the views that share the edited memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygrad_norm.autograd.graph import Node, op
from tinygrad_norm.autograd.mode import mode
from tinygrad_norm.autograd.tensor import Tensor


@op
def write_view(base: Any, value: Any, *, view: Callable, settings: dict) -> Any:
    """`base` with `value` in the place that `view(base, **settings)` shows."""
    out = base.copy()
    view.op.forward(out, **settings)[...] = value  # type: ignore[attr-defined]
    return out


write_view.vjp(
    base=lambda g, view, settings: write_view(g, 0.0, view=view, settings=settings),
    value=lambda g, view, settings: view(g, **settings),
)


def check_editable(x: Tensor, name: str) -> None:
    """Raise where PyTorch forbids to edit x in place: leaves that require grad, and their views."""
    root = x
    while root.view_of is not None:
        root = root.view_of[0]
    if mode.enabled and root.requires_grad and root.node is None:
        kind = "a leaf Variable" if root is x else "a view of a leaf Variable"
        raise RuntimeError(
            f"{kind} that requires grad is being used in an in-place operation ({name}): "
            "edit it under no_grad(), or edit .data or .detach()"
        )


def edited(x: Tensor, name: str) -> None:
    """Count an edit of x's memory by the method `name`."""
    x.counter[0] += 1
    x.counter[1] = name


def adopt(x: Tensor, node: Node | None) -> Tensor:
    """Give x, whose memory was just edited, the history of its new value.

    If x is a view, the Tensor it views gets a new history too: its old value with x written in.
    """
    if not mode.enabled:
        return x
    x.node, x.requires_grad, x.seen = node, node is not None, x.counter[0]
    while x.view_of is not None:
        parent, view, settings = x.view_of
        place = {"view": view, "settings": settings}
        write_view.op.record_edit((parent, x), [parent.array, x.array], place, parent)
        parent.seen = x.counter[0]
        x = parent
    return x
