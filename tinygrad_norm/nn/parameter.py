"""Parameter: a Tensor that a Module trains."""

from __future__ import annotations

from typing import Any

from tinygrad_norm.autograd import Tensor
from tinygrad_norm.checks.arguments import require_kind, usual_tensor
from tinygrad_norm.ops.creation import empty, tensor


class Parameter(Tensor):
    """A leaf Tensor that a Module trains: it requires grad, and assigning it registers it.

    data: a Tensor, whose memory it shares, or what `tensor` takes; an empty Tensor by default.
    """

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        require_kind("Parameter", "requires_grad", "bool", requires_grad)
        data = empty(0) if data is None else data
        super().__init__(data.detach() if isinstance(data, Tensor) else tensor(data), requires_grad=requires_grad)

    def __deepcopy__(self, memo: dict) -> Parameter:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.detach().clone(), self.needs_grad)
        return memo[id(self)]

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


usual_tensor(Parameter)


class UninitializedParameter(Parameter):
    """A Parameter whose shape the first input will tell."""

    def __init__(self, requires_grad: bool = True, device: str | None = None, dtype: Any = None) -> None:
        super().__init__(empty(0, device=device, dtype=dtype), requires_grad)

    def materialize(self, shape: tuple[int, ...]) -> None:
        """Become a Parameter of this shape, not initialised yet."""
        self.array = empty(shape, device=self.device, dtype=self.dtype).array
        self.__class__ = Parameter  # type: ignore[assignment]

    def __deepcopy__(self, memo: dict) -> UninitializedParameter:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.needs_grad, self.device, self.dtype)
        return memo[id(self)]

    def __repr__(self) -> str:
        return "<UninitializedParameter>"


def reset_gradient(p: Tensor, set_to_none: bool) -> None:
    """Forget the gradient, or set it to zero, in its own memory."""
    if p.grad is None:
        return
    if set_to_none:
        p.grad = None
    else:
        p.grad.detach_() if p.grad.grad_fn is not None else p.grad.requires_grad_(False)
        p.grad.zero_()
