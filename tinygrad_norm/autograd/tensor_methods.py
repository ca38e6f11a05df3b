"""What Tensor has beside the engine's: PyTorch's further attributes and methods of differentiation."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np

from tinygrad_norm.autograd import hooks, requests
from tinygrad_norm.backend import Device, backend_of, transfer
from tinygrad_norm.checks.arguments import usual_tensor
from tinygrad_norm.checks.tensors import require_data
from tinygrad_norm.engine.tensor import Tensor, version_of, wrap
from tinygrad_norm.warn import warn


def _data(self: Tensor) -> Tensor:
    """The same memory without history; `backward` does not notice edits made through it."""
    return wrap(self.array)


def _set_data(self: Tensor, value: Tensor) -> None:
    require_data(self, value)
    self.array, self.view_of = value.array, None


def _is_leaf(self: Tensor) -> bool:
    """Whether no recorded op made this Tensor: `backward` leaves gradients in leaves only."""
    return self.grad_fn is None


def _device(self: Tensor) -> Device:
    """Where the values are: "cpu" or "cuda"."""
    return Device(backend_of(self.array).device)


def _version(self: Tensor) -> int:
    """How often the memory was edited."""
    return version_of(self).count


def detach_(self: Tensor) -> Tensor:
    """Forget the history, in place. Raises RuntimeError for a view: its base keeps the history."""
    if self.view_of is not None and not self.view_of.is_stand_in:
        raise RuntimeError("Can't detach views in-place. Use detach() instead.")
    self.view_of = self.node = None
    self.needs_grad = False
    return self


def __deepcopy__(self: Tensor, memo: dict) -> Tensor:
    if self.grad_fn is not None:
        raise RuntimeError("Only graph leaves, which the user made, support deepcopy: use .detach().clone()")
    if id(self) not in memo:
        memo[id(self)] = copy = _without_history(type(self), self.array.copy(order="K"))
        copy.needs_grad = self.needs_grad
        copy.__dict__.update(deepcopy(self.__dict__, memo))
        copy._grad = None if self._grad is None else self._grad.__deepcopy__(memo)
    return memo[id(self)]


def __reduce_ex__(self: Tensor, protocol: Any) -> tuple:
    """A pickled Tensor is a leaf when it comes back, on the device it was on."""
    home = backend_of(self.array).name
    return _unpickled, (type(self), transfer(self.array, "cpu"), home, self.requires_grad, dict(self.__dict__))


def _without_history(kind: type, array: Any) -> Any:
    tensor = wrap(array)
    tensor.__class__ = kind  # a subclass has no other slots
    return tensor


def _unpickled(kind: type, host: np.ndarray, home: str, requires_grad: bool, attributes: dict) -> Tensor:
    tensor = _without_history(kind, transfer(host, home))
    tensor.needs_grad = requires_grad
    tensor.__dict__.update(attributes)
    return tensor


def _read_grad(self: Tensor) -> Tensor | None:
    if self._grad is None and self.grad_fn is not None and not hooks.retains_grad(self):
        warn("The .grad attribute of a Tensor that is not a leaf Tensor is being accessed: call .retain_grad() on it first")
    return self._grad


PROPERTIES = {
    "grad": Tensor.grad.getter(_read_grad).deleter(lambda self: setattr(self, "_grad", None)),  # type: ignore[attr-defined]
    "data": property(_data, _set_data),
    "device": property(_device),
    "is_leaf": property(_is_leaf),
    "retains_grad": property(hooks.retains_grad),
    "_version": property(_version),
}
METHODS = {
    "backward": requests.tensor_backward,
    "detach_": detach_,
    "register_hook": hooks.register_hook,
    "register_post_accumulate_grad_hook": hooks.register_post_accumulate_grad_hook,
    "retain_grad": hooks.retain_grad,
    "__deepcopy__": __deepcopy__,
    "__reduce_ex__": __reduce_ex__,
}
requests.tensor_backward.__name__ = "backward"
for _name, _method in {**PROPERTIES, **METHODS}.items():
    setattr(Tensor, _name, _method)
usual_tensor(Tensor)
