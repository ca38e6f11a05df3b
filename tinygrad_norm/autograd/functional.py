"""Jacobians, Hessians and their products with vectors, of functions of Tensors.

inputs: a Tensor or a tuple of them; func returns a Tensor or a tuple. Results have the structure of outputs, then of
inputs. create_graph: the results can be differentiated; strict: an output that does not depend on an input is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygrad_norm.autograd.modes import enable_grad
from tinygrad_norm.autograd.requests import grad
from tinygrad_norm.backend import xp
from tinygrad_norm.checks.notes import note_all
from tinygrad_norm.engine.tensor import Tensor, wrap

Tensors = Tensor | tuple[Tensor, ...]


def _tuple(values: Any, what: str) -> tuple[Tensor, ...]:
    found = values if isinstance(values, tuple) else (values,)
    for v in found:
        if not isinstance(v, Tensor):
            raise TypeError(f"the {what} must be a Tensor or a tuple of Tensors, but got {type(v).__name__}")
    return found


def _zeros(x: Tensor) -> Tensor:
    return wrap(xp(x.array).zeros(x.array.shape, x.array.dtype))


class _Run:
    """One call of func on inputs that require grad."""

    def __init__(self, func: Callable, inputs: Tensors, create_graph: bool, strict: bool) -> None:
        self.single, self.create_graph, self.strict = isinstance(inputs, Tensor), create_graph, strict
        self.inputs = tuple(
            x.view_as(x) if create_graph and x.requires_grad else x.detach().requires_grad_() for x in _tuple(inputs, "inputs")
        )
        with enable_grad():
            returned = func(*self.inputs)
        self.single_output, self.outputs = isinstance(returned, Tensor), _tuple(returned, "outputs")

    def gradients(self, outputs: Any, cotangents: Any = None, create_graph: bool | None = None) -> tuple[Tensor, ...]:
        """The gradients of the outputs that depend on something, zeros where they depend on nothing."""
        create_graph = self.create_graph if create_graph is None else create_graph
        cotangents = cotangents or [None] * len(outputs)
        pairs = [(out, c) for out, c in zip(outputs, cotangents) if out.requires_grad]
        if self.strict and len(pairs) < len(outputs):
            raise RuntimeError("an output of the function does not require gradient: it is independent of the inputs")
        found: Any = [None] * len(self.inputs)
        if pairs:
            found = grad([o for o, _ in pairs], self.inputs, [c for _, c in pairs], True, create_graph, allow_unused=True)
        if self.strict and any(g is None for g in found):
            raise RuntimeError("an output of the user-provided function is independent of an input; strict=True forbids it")
        if create_graph:
            self.require_history(found)
        return tuple(_zeros(x) if g is None else g for g, x in zip(found, self.inputs))

    def require_history(self, found: Any) -> None:
        """Raise if strict and a derivative is a constant, which cannot be differentiated again."""
        for i, g in enumerate(found):
            if self.strict and not (g is not None and g.requires_grad):
                raise RuntimeError(f"independent of input {i}: not allowed in strict mode when create_graph=True")

    def results(self, values: tuple, single: bool) -> Any:
        """Values with or without their tuple, and with or without a graph."""
        kept = values if self.create_graph else tuple(v.detach() for v in values)
        return kept[0] if single else kept


def jacobian(
    func: Callable,
    inputs: Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """For each output and input, d output / d input, of shape (*output.shape, *input.shape)."""
    run = _Run(func, inputs, create_graph, strict)
    blocks = []
    for out in run.outputs:
        flat = out.reshape(-1)
        rows = [run.gradients([flat[i]]) for i in range(out.array.size)]
        columns = []
        for k, x in enumerate(run.inputs):
            shape = (*out.array.shape, *x.array.shape)
            columns.append(stacked([row[k] for row in rows]).reshape(shape) if rows else _zeros(x).expand(shape))
        blocks.append(run.results(tuple(columns), run.single))
    return blocks[0] if run.single_output else tuple(blocks)


def stacked(tensors: list[Tensor]) -> Tensor:
    """The Tensors in a row, along a new first dimension."""
    whole = _zeros(tensors[0]).expand((len(tensors), *tensors[0].array.shape)).clone()
    for i, t in enumerate(tensors):
        whole[i] = t
    return whole


def hessian(
    func: Callable,
    inputs: Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """For each pair of inputs, the second derivatives of func, which returns a single number."""

    def gradients(*values: Tensor) -> Any:
        found = jacobian(_single_output(func), values, create_graph=True)
        return tuple(g.reshape(x.array.shape) for g, x in zip(found, values))

    found = jacobian(gradients, _tuple(inputs, "inputs"), create_graph, strict)
    return found[0][0] if isinstance(inputs, Tensor) else found


def _single_output(func: Callable) -> Callable:
    def call(*values: Tensor) -> Tensor:
        outputs = _tuple(func(*values), "output")
        out = outputs[0]
        if len(outputs) != 1 or out.array.size != 1:
            raise RuntimeError("the Tensor returned by the function should contain a single element")
        return out

    return call


def _vectors(v: Any, like: tuple[Tensor, ...], what: str) -> tuple[Tensor, ...]:
    if v is None:
        if len(like) != 1 or like[0].array.size != 1:
            raise RuntimeError(f"the vector v can only be None if {what} is a single number")
        return (wrap(xp(like[0].array).ones(like[0].array.shape, like[0].array.dtype)),)
    vectors = _tuple(v, "vector v")
    if [t.array.shape for t in vectors] != [t.array.shape for t in like]:
        raise RuntimeError(f"v has invalid size {[list(t.shape) for t in vectors]}, expected {[list(t.shape) for t in like]}")
    return vectors


def vjp(func: Callable, inputs: Tensors, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple:
    """(outputs, v^T J): the gradients of the inputs for the cotangents v."""
    run = _Run(func, inputs, create_graph, strict)
    found = run.gradients(run.outputs, list(_vectors(v, run.outputs, "func's output")))
    return run.results(run.outputs, run.single_output), run.results(found, run.single)


def jvp(func: Callable, inputs: Tensors, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple:
    """(outputs, J v), by differentiating u^T J with respect to u."""
    run = _Run(func, inputs, create_graph, strict)
    vectors = _vectors(v, run.inputs, "func's input")
    dummies = [_zeros(out).requires_grad_() for out in run.outputs]
    with enable_grad():
        pulled = run.gradients(run.outputs, dummies, create_graph=True)
        live = [(g, u) for g, u in zip(pulled, vectors) if g.requires_grad]
        found: Any = [None] * len(dummies)
        if live:
            found = grad([g for g, _ in live], dummies, [u for _, u in live], True, create_graph, allow_unused=True)
    if create_graph:
        run.require_history(found)
    products = tuple(_zeros(out) if g is None else g for g, out in zip(found, run.outputs))
    return run.results(run.outputs, run.single_output), run.results(products, run.single_output)


def vhp(func: Callable, inputs: Tensors, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple:
    """(output, v^T H) of a function that returns a single number."""
    run = _Run(_single_output(func), inputs, create_graph, strict)
    vectors = _vectors(v, run.inputs, "func's input")
    with enable_grad():
        gradients = run.gradients(run.outputs, create_graph=True)
        found = run.gradients(gradients, list(vectors))
    return run.results(run.outputs, True), run.results(found, run.single)


def hvp(func: Callable, inputs: Tensors, v: Any = None, create_graph: bool = False, strict: bool = False) -> tuple:
    """(output, H v); the Hessian is symmetric, so this is vhp."""
    return vhp(func, inputs, v, create_graph, strict)


note_all(globals(), ["jacobian", "stacked", "hessian", "vjp", "jvp", "vhp", "hvp"])
