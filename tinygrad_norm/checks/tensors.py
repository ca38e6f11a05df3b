"""What may be assigned to a Tensor."""

from __future__ import annotations

from typing import Any

import numpy as np


def require_leaf(x: Any, requires_grad: Any) -> bool:
    """Raise unless x may be told whether it requires grad; whether anything is left to do."""
    if not isinstance(requires_grad, (bool, np.bool_)):
        raise TypeError(f"requires_grad_(): argument 'requires_grad' must be bool, not {type(requires_grad).__name__}")
    frozen = x.view_of is not None and x.view_of.edit_error  # not to be brought up to date
    if (x.node if frozen else x.grad_fn) is not None:
        if requires_grad:
            return False
        raise RuntimeError("you can only change requires_grad flags of leaf variables: x.detach() has no history")
    if requires_grad and x.array.dtype.kind != "f":
        raise RuntimeError(f"only Tensors of floating point dtype can require gradients, but got {x.dtype}")
    return True


def require_data(x: Any, value: Any) -> None:
    """Raise unless the value can be the data of x."""
    if not hasattr(value, "needs_grad"):
        raise TypeError(f"the data of a Tensor must be a tensor, but got {type(value).__name__}")
    if x.needs_grad and value.array.dtype.kind != "f":
        raise RuntimeError("data set to a tensor that requires gradients must be floating point or complex dtype")


def require_gradient(x: Any, g: Any) -> None:
    """Raise unless g can be the gradient of x."""
    if not hasattr(g, "needs_grad"):
        raise TypeError(f"assigned grad expected to be a Tensor or None but got grad of type '{type(g).__name__}'")
    if g is x:
        raise RuntimeError("can't assign Variable as its own grad")
    if g.array.dtype != x.array.dtype:
        raise RuntimeError(f"assigned grad has data of a different type: {g.dtype}, not {x.dtype}: convert it with .to()")
    if g.array.__class__ is not x.array.__class__:
        raise RuntimeError(f"assigned grad has data located on a different device: expected {x.device}, but got {g.device}")
    if g.array.shape != x.array.shape:
        raise RuntimeError(f"assigned grad has data of a different size: expected {list(x.shape)}, but got {list(g.shape)}")
