"""Reverse-mode differentiation: Tensor, Node, op, backward, grad.

An **op** is a pure function on arrays with one vector-Jacobian product (vjp) per differentiable
input. Called with Tensors it computes, and leaves a **Node** behind: which op it was, where its
inputs came from, and the values that its vjps ask for, nothing else. `backward` walks the Nodes
from the newest to the oldest; a gradient is final when it is visited, since everything that used
the value is newer. Nothing points from an older Node to a newer one, so a graph goes when its last
result goes, without the cyclic garbage collector.

        w ──┐
            mul ── node 1 ──┐            backward visits node 2, then node 1,
        x ──┘               add ── node 2            and ends in the leaves b, w, x
        b ──────────────────┘

Write an op of your own like this, and `tinygrad_norm.testing.check_op` tests it:

    @op
    def cube(x):
        "x**3, elementwise."
        return x * x * x

    cube.vjp(x=lambda g, x: 3 * x * x * g)

A vjp takes g, the gradient of its op's output, and then by name what it needs: an input, `out`,
a keyword of the op, or `<input>_shape` where the shape alone is wanted. It is written in operators,
methods and other ops, so that it runs on arrays in `backward()` and on Tensors under
`create_graph=True`: one formula, derivatives of any order.

The engine itself is in `tinygrad_norm.engine`; this folder is what attaches itself to it:

    requests.py     backward() and grad(): what is asked for, and what is refused
    modes.py        whether ops record: no_grad and the others
    hooks.py        hooks, retain_grad
    observers.py    what is told of ops, edits and the walk
    views.py        Tensors that share memory
    edits.py        edits in place
    create_graph.py what backward needs to be differentiated again
    function.py     ops with a context, as PyTorch writes them
    functional.py   Jacobians and Hessians
    anomaly.py      where a nan came from
    tensor_methods.py  the other methods of Tensor that PyTorch has here
"""

from tinygrad_norm.autograd import create_graph, functional, tensor_methods  # noqa: F401 (they attach themselves)
from tinygrad_norm.autograd.anomaly import (
    detect_anomaly,
    is_anomaly_check_nan_enabled,
    is_anomaly_enabled,
    set_detect_anomaly,
)
from tinygrad_norm.autograd.function import Function
from tinygrad_norm.autograd.hooks import RemovableHandle
from tinygrad_norm.autograd.modes import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from tinygrad_norm.autograd.requests import backward, grad
from tinygrad_norm.backend import Size
from tinygrad_norm.checks.notes import note_all
from tinygrad_norm.engine.op import Node, elementwise, op
from tinygrad_norm.engine.tensor import Tensor
from tinygrad_norm.missing import listed, missing_in


def Variable(data: Tensor, requires_grad: bool = False) -> Tensor:
    """The Tensor itself, under the name that it needed before PyTorch 0.4; it then asks for a gradient, or not."""
    return data.detach().requires_grad_(requires_grad)


__all__ = ["Function", "Node", "RemovableHandle", "Size", "Tensor", "Variable", "backward", "detect_anomaly"]
__all__ += ["elementwise", "enable_grad", "functional", "grad", "inference_mode", "is_anomaly_check_nan_enabled"]
__all__ += ["is_anomaly_enabled", "is_grad_enabled", "no_grad", "op", "set_detect_anomaly", "set_grad_enabled"]

note_all(globals(), ["backward", "grad"])

__getattr__ = missing_in("tinygrad_norm.autograd", globals())
__dir__ = listed(globals())
