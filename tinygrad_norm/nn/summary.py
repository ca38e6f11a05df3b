"""What a model consists of: layers, shapes, parameters, multiplications, memory, seen in one run."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from tinygrad_norm.autograd import Tensor, no_grad
from tinygrad_norm.nn.conv import Conv1d, Conv2d
from tinygrad_norm.nn.layers import Linear
from tinygrad_norm.nn.module import Module
from tinygrad_norm.ops.creation import zeros


class Row(NamedTuple):
    """One layer: its dotted name and kind, the shape of its output, and what it has and does."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    bytes: int


class Summary:
    """The rows of a model; print it for a table.

    total_parameters, trainable_parameters, multiply_adds (of one run), parameter_bytes, output_bytes: the sums. Parameters
    that layers share count once.
    """

    def __init__(self, model: Module, rows: list[Row]) -> None:
        parameters = list(model.parameters())
        self.rows = rows
        self.total_parameters = sum(p.numel() for p in parameters)
        self.trainable_parameters = sum(p.numel() for p in parameters if p.requires_grad)
        self.parameter_bytes = sum(p.array.nbytes for p in parameters)
        self.multiply_adds = sum(row.multiply_adds for row in rows)
        self.output_bytes = sum(row.bytes for row in rows)

    def __str__(self) -> str:
        head = ("layer", "output shape", "parameters", "multiply-adds", "output, bytes")
        cells = [
            (f"{r.name} ({r.kind})", str(list(r.output_shape)), *(f"{n:,}" for n in (r.parameters, r.multiply_adds, r.bytes)))
            for r in self.rows
        ]
        widths = [max(len(row[i]) for row in (head, *cells)) for i in range(len(head))]

        def line(row: tuple[str, ...]) -> str:
            return "  ".join(c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths)))

        rule = "-" * len(line(head))
        parts = f"{self.total_parameters:,} parameters, {self.trainable_parameters:,} of them trainable"
        run = f"{self.parameter_bytes:,} bytes; {self.multiply_adds:,} multiply-adds; {self.output_bytes:,} bytes of outputs"
        return "\n".join([line(head), rule, *map(line, cells), rule, f"{parts}; {run}"])

    __repr__ = __str__


def summary(model: Module, *inputs: Any) -> Summary:
    """Run the model once on these inputs, in evaluation mode and without gradients, and tell what its layers did.

    A tuple of integers stands for zeros of that shape: summary(net, (64, 1, 28, 28)).

    A layer is a module without submodules. Multiply-adds are those of the products in Linear and convolutions; the cheap
    rest is not counted. Modes, gradients and buffers are left as they were. Raises TypeError for what is no Module.
    """
    if not isinstance(model, Module):
        raise TypeError(f"summary(): argument 'model' must be a Module, not {type(model).__name__}")
    if len(inputs) == 1 and isinstance(shape := inputs[0], tuple) and shape and all(isinstance(n, int) for n in shape):
        inputs = (zeros(*shape, dtype=next((p.dtype for p in model.parameters()), None)),)
    modes = {layer: layer.training for layer in model.modules()}
    names = {layer: name for name, layer in model.named_modules()}
    rows: list[Row] = []

    def note(layer: Module, arguments: tuple, output: Any) -> None:
        outputs = [x for x in (output if isinstance(output, (tuple, list)) else [output]) if isinstance(x, Tensor)]
        shape = tuple(outputs[0].shape) if outputs else ()
        own = sum(p.numel() for p in layer.parameters(recurse=False))
        size = sum(x.array.nbytes for x in outputs)
        rows.append(Row(names[layer] or "the model", type(layer).__name__, shape, own, multiply_adds(layer, shape), size))

    handles = [layer.register_forward_hook(note) for layer in modes if not list(layer.children())]
    try:
        model.eval()
        with no_grad():
            model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
        for layer, training in modes.items():
            layer.training = training
    return Summary(model, rows)


def multiply_adds(layer: Module, output_shape: tuple[int, ...]) -> int:
    """How many products a layer adds up for an output of this shape."""
    if isinstance(layer, Linear):
        return math.prod(output_shape) * layer.in_features
    if isinstance(layer, (Conv1d, Conv2d)):
        return math.prod(output_shape) * math.prod(layer.weight.shape[1:])
    return 0
