"""Graphs to look at: draw shows what a result was computed from, trace how backward walked through it.

    print(tn.draw(loss, names=model))       # a tree in plain text; in a notebook, a picture
    with tn.trace() as steps:
        loss.backward()
    print(steps)                            # each step: the op, what arrived, what it handed on

Both look at what the engine keeps anyway.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tinygrad_norm.autograd import Node, Tensor
from tinygrad_norm.autograd.hooks import input_name
from tinygrad_norm.backend import is_array, raw, transfer
from tinygrad_norm.checks.arguments import checked
from tinygrad_norm.engine.tensor import thread
from tinygrad_norm.nn.module import Module
from tinygrad_norm.ops import functions

linalg_trace = functions["trace"]
_WIDEST = 100  # characters of a saved value in a drawing


class Drawing:
    """A graph: `dot` is its text in Graphviz's language, `svg` the picture, str() a tree.

    The picture needs Graphviz: its program `dot`, and the package of that name (pip install graphviz). RuntimeError without.
    """

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
        return words if gradient is None else f"{words} |grad| = {_norm(gradient.array):.4g}"

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
        stack: list[tuple[Any, str, str]] = [(_target(out), "", "") for out in reversed(self._outputs)]
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
    def dot(self) -> str:
        """The graph in Graphviz's language."""
        lines = ["digraph {", "  rankdir=BT", '  node [fontname="sans-serif", fontsize=11, shape=box, style="rounded"]']
        number: dict[int, str] = {}
        stack = [_target(out) for out in self._outputs]
        keep = []  # ids stay what they are while the objects live
        while stack:
            at = stack.pop()
            if id(at) in number:
                continue
            number[id(at)] = f"n{len(number)}"
            keep.append(at)
            if isinstance(at, Node):
                text = "\\n".join(_escaped(words) for words in (self._label(at), *self._values(at)))
                lines.append(f'  {number[id(at)]} [label="{text}"]')
                stack += at.edges
            else:
                label = _escaped(self._label(at))
                lines.append(f'  {number[id(at)]} [label="{label}", style="rounded,filled", fillcolor="#dbe9f6"]')
        for at in keep:
            if isinstance(at, Node):
                lines += [f"  {number[id(edge)]} -> {number[id(at)]}" for edge in at.edges]
        return "\n".join([*lines, "}"])

    @property
    def svg(self) -> str:
        """The picture, as the text of an SVG file."""
        try:
            import graphviz
        except ImportError:
            raise RuntimeError("a picture needs the package graphviz: pip install graphviz; print(drawing) is a tree") from None
        try:
            return graphviz.Source(self.dot).pipe(format="svg", encoding="utf-8")
        except graphviz.ExecutableNotFound:
            raise RuntimeError("a picture needs Graphviz's program dot: https://graphviz.org/download") from None

    def _repr_svg_(self) -> str | None:
        try:
            return self.svg
        except RuntimeError:
            return None

    def _repr_html_(self) -> str | None:
        return f"<pre>{html.escape(str(self))}</pre>"


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
    return Drawing(outputs, _names_of("draw", names), saved)


def _names_of(function: str, names: Any) -> dict[int, str]:
    """The names by the Tensors' ids. Raises TypeError for what is neither a Module nor a dict nor None."""
    if names is not None and not isinstance(names, (Module, Mapping)):
        raise TypeError(f"{function}(): argument 'names' must be a Module or a dict, not {type(names).__name__}")
    given = names.named_parameters() if isinstance(names, Module) else (names or {}).items()
    return {id(t): name for name, t in given}


def _target(x: Tensor) -> Any:
    return x if x.grad_fn is None else x.grad_fn


def _norm(array: Any) -> float:
    host = transfer(array, "cpu")
    return math.sqrt(float(np.square(host, dtype=np.float64).sum()))


def _in_words(value: Any) -> str:
    """A number as it is, an array by shape and range."""
    value = raw(value)
    if is_array(value):
        host = transfer(value, "cpu")
        if host.size == 1:
            return f"{host.item():.4g}" if host.dtype.kind == "f" else str(host.item())
        return f"{host.dtype} {list(host.shape)}" + (f" in [{host.min():.3g}, {host.max():.3g}]" if host.size else "")
    text = repr(value)
    return text if len(text) < _WIDEST else text[:_WIDEST] + " ..."


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


# ---- step by step -------------------------------------------------------------------------


class Steps:
    """A `with` block that notes each step of the backward passes in it; iterate over it, or print it.

    A step is a dict: op (its name), shape and norm (of the gradient that arrived), inputs: for each input that needs a
    gradient its name, shape and the norm of its gradient. names: as for draw, to name leaves.
    """

    def __init__(self, names: Any = None) -> None:
        self._names = _names_of("trace", names)
        self.steps: list[dict[str, Any]] = []

    def __enter__(self) -> Steps:
        thread.observers = (*thread.observers, self)
        return self

    def __exit__(self, *exception: object) -> None:
        thread.observers = tuple(see for see in thread.observers if see is not self)

    def recorded(self, node: Node) -> None:
        """Nothing is noted of the forward pass."""

    def walked(self, node: Node, g: Any, gradients: Any) -> None:
        """Note a step: what arrived at a Node, and what its vjps have made of it."""
        inputs = []
        for position, edge, gx in zip(node.plan.positions, node.edges, gradients):
            name = input_name(node, position)
            leaf = self._names.get(id(edge))
            shape, norm = (None, None) if gx is None else (list(gx.shape), _norm(raw(gx)))
            inputs.append({"name": name if leaf is None else f"{name} = {leaf}", "shape": shape, "norm": norm})
        self.steps.append({"op": node.plan.op.name, "shape": list(g.shape), "norm": _norm(raw(g)), "inputs": inputs})

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def __str__(self) -> str:
        lines = [f"{'step':>4}  {'op':18} {'arrived':20} {'|g|':>10}   handed on"]
        for i, step in enumerate(self.steps, 1):
            handed = ", ".join(
                f"{x['name']} {x['shape']}" + ("" if x["norm"] is None else f" |g| = {x['norm']:.4g}") for x in step["inputs"]
            )
            lines.append(f"{i:4}  {step['op']:18} {step['shape']!s:20} {step['norm']:10.4g}   {handed}")
        return "\n".join(lines)

    __repr__ = __str__


def trace(input: Tensor | None = None, *, names: Any = None) -> Any:
    """Without a Tensor, a `with` block that notes each step of the backward passes in it: see Steps.

    Of a matrix, the sum of its diagonal, as PyTorch has it under this name.
    """
    return Steps(names) if input is None else linalg_trace(input)
