"""The Tensor: an array that remembers how it was made."""

from __future__ import annotations

import threading
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_norm.backend import Array, Size, new_array, plain_array
from tinygrad_norm.checks.tensors import require_gradient, require_leaf

if TYPE_CHECKING:  # what autograd/__init__.py and ops/__init__.py bind, as tests/stubs.py writes it down
    from tinygrad_norm.autograd.methods import Methods
    from tinygrad_norm.engine.op import Node
else:
    Methods = object


class ThreadState(threading.local):
    """What holds in one thread; autograd/modes.py has the contexts that set it."""

    recording = True  # whether ops leave Nodes
    observers: tuple[Any, ...] = ()  # [5] see autograd/observers.py


thread = ThreadState()


class Version:
    """The in-place edits of one memory: a Tensor shares it with its views and with what detach() gives."""

    count = 0  # how many
    last_edit = ""  # the name of the method
    copies: Any = None  # views that had to be copied, and are kept equal: see autograd/views.py


class Tensor(Methods):
    """An array that remembers how it was made.

    Tensor([[1, 2]]) holds data as float32, Tensor(2, 3) is of that size and not initialised; `tensor(data)` keeps
    the type of the data.

    array: the NumPy or CuPy array with the values; requires_grad: whether gradients flow to it; grad: the gradient
    that `backward` left here, for leaves; grad_fn: the Node of what made it, None for a leaf.

    `tinygrad_norm.ops` attaches the mathematics (`sum`, `relu`, `@`, ...), `tinygrad_norm.autograd` backward and hooks.
    """

    __slots__ = ("__dict__", "__weakref__", "_grad", "array", "hooks", "needs_grad", "node", "version", "view_of")
    array: Array
    needs_grad: bool  # requires_grad, as of the last refresh
    node: Node | None  # grad_fn, as of the last refresh
    version: Version | None  # the edits of the memory, which views share; None until somebody asks: version_of
    view_of: Any  # None, or the View: of which Tensor, and how
    hooks: Any  # [4] None, or the Hooks of a leaf
    _grad: Tensor | None

    __hash__ = object.__hash__

    def __init__(self, *data: Any, requires_grad: bool = False) -> None:
        self.array, self.needs_grad = new_array(*data), False
        self._grad = self.version = self.hooks = self.node = self.view_of = None
        if requires_grad:
            self.requires_grad_()

    @property
    def shape(self) -> Size:
        """The sizes of the dimensions."""
        return Size(self.array.shape)

    dtype = property(attrgetter("array.dtype"), doc="The element type.")
    ndim = property(attrgetter("array.ndim"), doc="The number of dimensions.")

    @property
    def grad_fn(self) -> Node | None:
        """The Node of the op that made this Tensor, None for a leaf."""
        if self.view_of is not None:
            self.view_of.refresh(self)  # [1]
        return self.node

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to this Tensor. Setting it is `requires_grad_`."""
        if self.view_of is not None:
            self.view_of.refresh(self)  # [1]
        return self.needs_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Ask for (or decline) a gradient for this leaf, in place."""
        if require_leaf(self, requires_grad):
            self.needs_grad = bool(requires_grad)
        return self

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` left here. A gradient assigned has to have this Tensor's shape, dtype and device."""
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            require_gradient(self, value)
        self._grad = value

    def detach(self) -> Tensor:
        """The same memory without history; `backward` notices edits made through it."""
        result = wrap(self.array)
        result.version = version_of(self)
        return result


new = object.__new__


def wrap(array: Any) -> Tensor:
    """A Tensor without history around an array; a NumPy scalar, or a subclass of NumPy's array, becomes an array first."""
    tensor = new(Tensor)  # as in Tensor.__init__, without a call
    if array.__class__ is not np.ndarray:
        array = np.asarray(array) if isinstance(array, np.generic) else plain_array(array)
    tensor.array = array
    tensor.needs_grad = False
    tensor._grad = tensor.version = tensor.hooks = tensor.node = tensor.view_of = None
    return tensor


def version_of(x: Tensor) -> Version:
    """The edits of x's memory."""
    x.version = x.version or Version()
    return x.version


def mark_edited(x: Tensor, name: str) -> None:
    """Count an edit of x's memory by the method `name`. If nobody has asked, nothing was saved, and there are no views."""
    for see in thread.observers:
        see.edited(x, name)  # [5]
    if x.version is not None:
        x.version.count, x.version.last_edit = x.version.count + 1, name
        if x.version.copies is not None:
            x.version.copies.follow(x)
