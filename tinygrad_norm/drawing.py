"""Graphs to look at: draw shows what a result was computed from, trace how backward walked through it.

    print(tn.draw(loss, names=model))       # a tree in plain text; in a notebook, a picture
    with tn.trace() as steps:
        loss.backward()
    print(steps)                            # each step: the op, what arrived, what it handed on

Both look at what the engine keeps anyway.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_norm.autograd import Node, Tensor
from tinygrad_norm.autograd.hooks import input_name
from tinygrad_norm.autograd.observers import Observer
from tinygrad_norm.backend import is_array, raw, transfer
from tinygrad_norm.checks.arguments import checked
from tinygrad_norm.engine.backward import reachable, target_of
from tinygrad_norm.explorer.calls import names_of
from tinygrad_norm.explorer.lanes import picture
from tinygrad_norm.ops import functions

linalg_trace = functions["trace"]
_WIDEST = 100  # characters of a saved value in a drawing


class Drawing:
    """A graph: `svg` is the picture, which a notebook shows, str() a tree."""

    def __init__(self, outputs: tuple[Tensor, ...], names: dict[int, str], saved: bool) -> None:
        self._outputs, self._names, self._saved = outputs, names, saved

    # ---- what there is ------------------------------------------------------------------------

    def _label(self, at: Any) -> str:
        """A Node or a leaf in words: name, shape, and the norm of its gradient where that is known."""
        if isinstance(at, Node):
            kept = None if at.hooks is None else at.hooks.retained
            gradient = None if kept is None or (owner := kept()) is None else owner.grad
            words = f"{at.name()} {list(at.shape)}"
        else:
            gradient = at.grad
            words = f"{self._names.get(id(at), 'leaf')} {list(at.shape)}"
        return words if gradient is None else f"{words} {_size('grad', gradient)}"

    def _values(self, node: Node) -> Iterator[str]:
        """The saved values that its vjps ask for, in words."""
        if not self._saved or node.saved is None:
            return
        for name, value in list(zip(node.plan.names, node.saved))[: node.plan.used]:
            yield f"{name}: {_in_words(value)}"

    # ---- as text ------------------------------------------------------------------------------

    def __str__(self) -> str:
        lines: list[str] = []
        seen: set[int] = set()
        stack: list[tuple[Any, str, str]] = [(target_of(out), "", "") for out in reversed(self._outputs)]
        while stack:
            at, lead, below = stack.pop()
            again = isinstance(at, Node) and id(at) in seen
            lines.append(lead + self._label(at) + (" (see above)" if again else ""))
            if isinstance(at, Node) and not again:
                seen.add(id(at))
                lines += [f"{below}{'│' if at.edges else ' '}   saved {words}" for words in self._values(at)]
                last = len(at.edges) - 1
                stack += [
                    (edge, below + ("└── " if i == last else "├── "), below + ("    " if i == last else "│   "))
                    for i, edge in reversed(list(enumerate(at.edges)))
                ]
        return "\n".join(lines)

    __repr__ = __str__

    @property
    def svg(self) -> str:
        """The picture, as the text of an SVG file: a row for each op, the oldest above."""
        roots = [target_of(out) for out in self._outputs]
        order: dict[Any, None] = {}  # Nodes and leaves, each after what it is computed from
        for node in reversed(reachable([(root, None) for root in roots])[0]):
            order |= dict.fromkeys(edge for edge in node.edges if not isinstance(edge, Node)) | {node: None}
        row = {at: i for i, at in enumerate(order | dict.fromkeys(roots))}
        sources = [[row[edge] for edge in at.edges] if isinstance(at, Node) else [] for at in row]
        words = [(self._label(at), " · ".join(["", *self._values(at)]) if isinstance(at, Node) else "") for at in row]
        return picture(sources, ["op" if isinstance(at, Node) else "leaf" for at in row], words)

    def _repr_svg_(self) -> str:
        return self.svg


@checked
def draw(*outputs: Tensor, names: Any = None, saved: bool = True) -> Drawing:
    """The graph that these Tensors were computed by: ops, shapes, saved values, and gradients' norms after backward.

    names: a Module, or a dict of names and Tensors, whose names the leaves get; saved: show what the vjps have saved.
    Raises TypeError for what is no Tensor, RuntimeError for one without a history.
    """
    if not outputs:
        raise TypeError("draw(): expected at least one Tensor")
    for out in outputs:
        if not isinstance(out, Tensor):
            raise TypeError(f"draw(): expected Tensors, but got {type(out).__name__}")
        if not out.requires_grad:
            raise RuntimeError("draw(): this Tensor has no history: nothing it was computed from has requires_grad=True")
    return Drawing(outputs, names_of("draw", names), saved)


def _norm(x: Any) -> float:
    return math.sqrt(float(np.square(transfer(raw(x), "cpu"), dtype=np.float64).sum()))


def _size(name: str, x: Any) -> str:
    """How large a gradient is: its norm, or, of a single element, itself."""
    return f"{name} = {_in_words(x)}" if x.shape in ((), (1,)) else f"|{name}| = {_norm(x):.4g}"


def _gradient(x: Any) -> dict[str, Any]:
    """A gradient, or None, as a step has it."""
    return dict(shape=None, norm=None, size="") if x is None else dict(shape=list(x.shape), norm=_norm(x), size=_size("g", x))


def _in_words(value: Any) -> str:
    """A number as it is, an array by shape and range."""
    value = np.asarray(value) if isinstance(value, np.generic) else raw(value)
    if is_array(value):
        host = transfer(value, "cpu")
        if host.size == 1:
            return f"{host.item():.4g}" if host.dtype.kind == "f" else str(host.item())
        return f"{host.dtype} {list(host.shape)}" + (f" in [{host.min():.3g}, {host.max():.3g}]" if host.size else "")
    text = repr(value)
    return text if len(text) < _WIDEST else text[:_WIDEST] + " ..."


# ---- step by step -------------------------------------------------------------------------


class Steps(Observer, list):
    """A `with` block that notes each step of the backward passes in it, a list of them; print it for a table.

    A step is a dict: op (its name), shape and norm (of the gradient that arrived), size (the norm in words, or the one element
    with its sign), inputs: for each input that needs a gradient its name, and the same of its gradient. names: as for draw.
    """

    def __init__(self, names: Any = None) -> None:
        super().__init__()
        self._names = names_of("trace", names)

    def walked(self, node: Node, g: Any, gradients: Any) -> None:
        """Note a step: what arrived at a Node, and what its vjps have made of it."""
        inputs = []
        for position, edge, gx in zip(node.plan.positions, node.edges, gradients):
            name = input_name(node, position)
            leaf = self._names.get(id(edge))
            inputs.append({"name": name if leaf is None else f"{name} = {leaf}", **_gradient(gx)})
        self.append({"op": node.plan.op.name, **_gradient(g), "inputs": inputs})

    def __str__(self) -> str:
        shown = [f"{'step':>4}  {'op':18} {'arrived':20} {'':18}  handed on"]
        for i, step in enumerate(self, 1):
            handed = ", ".join(f"{x['name']} {x['shape']} {x['size']}".rstrip() for x in step["inputs"])
            shown.append(f"{i:4}  {step['op']:18} {step['shape']!s:20} {step['size']:18}  {handed}")
        return "\n".join(shown)

    __repr__ = __str__


def trace(input: Tensor | None = None, *, names: Any = None) -> Any:
    """Without a Tensor, a `with` block that notes each step of the backward passes in it: see Steps.

    Of a matrix, the sum of its diagonal, as PyTorch has it under this name.
    """
    return Steps(names) if input is None else linalg_trace(input)
