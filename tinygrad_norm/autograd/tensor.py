"""The Tensor: an array that remembers how it was made."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.autograd.mode import mode
from tinygrad_norm.backend import Array, is_array, xp

if TYPE_CHECKING:
    from tinygrad_norm.autograd.graph import Node


class Size(tuple):
    """The shape of a Tensor: a tuple that prints as Size([2, 3])."""

    __slots__ = ()

    def numel(self) -> int:
        """The number of elements, the product of the sizes."""
        return int(np.prod(self, dtype=np.int64))

    def __repr__(self) -> str:
        return f"Size({list(self)})"


class Tensor:
    """An array that remembers how it was made.

    array: the NumPy or CuPy array with the values; requires_grad: whether gradients flow to it;
    grad: the gradient that `backward` left here, for leaves; node: what made it, None for a leaf.

    `tinygrad_norm.ops` attaches the mathematics (`sum`, `relu`, `@`, ...) and
    `autograd.backward` the method of that name.
    """

    __slots__ = ("__dict__", "__weakref__", "array", "counter", "grad", "hooks", "node", "requires_grad", "seen", "view_of")
    array: Array
    counter: list  # [how often the memory was edited in place, by what]; views share it
    requires_grad: bool
    grad: Tensor | None
    node: Node | None
    hooks: dict[int, Callable] | None
    view_of: tuple[Tensor, Callable, dict] | None  # the Tensor viewed, the op, its settings
    seen: int  # for a view: the version that its node belongs to

    __array_ufunc__ = None  # ndarray * Tensor is a Tensor
    __hash__ = object.__hash__

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        if isinstance(data, Tensor):
            data = data.array
        self.array = data if is_array(data) else xp().asarray(data, dtype=dtypes.DEFAULT)
        dtypes.of(self.array.dtype)
        self.counter = [0, ""]
        self.grad = self.hooks = self.node = self.view_of = None
        self.requires_grad = False
        if requires_grad:
            self.requires_grad_()

    if TYPE_CHECKING:  # what is attached elsewhere

        def __getattr__(self, name: str) -> Any: ...
        def __getitem__(self, index: Any) -> Any: ...
        def __setitem__(self, index: Any, value: Any) -> None: ...
        def __len__(self) -> int: ...
        def __iter__(self) -> Iterator[Tensor]: ...
        def __float__(self) -> float: ...
        def __int__(self) -> int: ...
        def __neg__(self) -> Tensor: ...
        def __add__(self, other: Any) -> Tensor: ...
        def __matmul__(self, other: Any) -> Tensor: ...
        def __eq__(self, other: Any) -> Any: ...
        def __ne__(self, other: Any) -> Any: ...

        __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __add__
        __pow__ = __rpow__ = __lt__ = __le__ = __gt__ = __ge__ = __rmatmul__ = __add__

    @property
    def shape(self) -> Size:
        """The sizes of the dimensions."""
        return Size(self.array.shape)

    @property
    def dtype(self) -> np.dtype:
        """The element type."""
        return self.array.dtype

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self.array.ndim

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded op made this Tensor: `backward` leaves gradients in leaves only."""
        return self.grad_fn is None

    @property
    def grad_fn(self) -> Node | None:
        """The Node of the op that made this Tensor, None for a leaf."""
        refresh(self)
        return self.node

    @property
    def data(self) -> Tensor:
        """The same memory without history; `backward` does not notice edits made through it."""
        return wrap(self.array)

    @data.setter
    def data(self, value: Tensor) -> None:
        if value.array.dtype != self.array.dtype:
            raise RuntimeError(
                f"cannot assign a Tensor of dtype {value.dtype} to .data of dtype {self.dtype}: convert it with .to()"
            )
        self.array = value.array

    def detach(self) -> Tensor:
        """The same memory without history; `backward` notices edits made through it."""
        result = wrap(self.array)
        result.counter = self.counter
        return result

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Ask for (or decline) a gradient for this leaf, in place."""
        if self.node is not None and not requires_grad:
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. If you want to use a computed "
                "variable in a subgraph that doesn't require differentiation use var_no_grad = var.detach()."
            )
        if requires_grad and self.array.dtype.kind != "f":
            raise RuntimeError(f"only Tensors of floating point dtype can require gradients, but got {self.dtype}")
        self.requires_grad = bool(requires_grad)
        return self

    def retain_grad(self) -> None:
        """Have `backward` leave the gradient in `.grad` though this is not a leaf."""
        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if (node := self.grad_fn) is not None:
            node.retained = weakref.ref(self)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Call `hook(grad)` when the gradient of this Tensor is final; what it returns replaces it."""
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        owner = self.grad_fn or self
        if owner.hooks is None:
            owner.hooks = {}
        return RemovableHandle(owner.hooks, hook)


class RemovableHandle:
    """What registering a hook returns: `remove()` takes the hook away again."""

    _ids = itertools.count()

    def __init__(self, hooks: dict[int, Callable], hook: Callable) -> None:
        self._hooks, self.id = hooks, next(self._ids)
        hooks[self.id] = hook

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        self._hooks.pop(self.id, None)


new = object.__new__


def wrap(array: Any) -> Tensor:
    """A Tensor without history around an array; a NumPy scalar becomes an array first."""
    tensor = new(Tensor)
    tensor.array = np.asarray(array) if isinstance(array, np.generic) else array
    tensor.counter = [0, ""]
    tensor.grad = tensor.hooks = tensor.node = tensor.view_of = None
    tensor.requires_grad = False
    return tensor


def refresh(x: Tensor) -> None:
    """Bring the history of a view up to date after its memory was edited through another Tensor."""
    stale = []
    while x.view_of is not None and x.seen != x.counter[0]:
        stale.append(x)
        x = x.view_of[0]
    for view_tensor in reversed(stale):
        parent, view, settings = view_tensor.view_of  # type: ignore[misc]
        if parent.requires_grad:
            before, mode.enabled = mode.enabled, True
            try:
                view_tensor.node = view(parent, **settings).node
            finally:
                mode.enabled = before
            view_tensor.requires_grad = True
        view_tensor.seen = view_tensor.counter[0]
