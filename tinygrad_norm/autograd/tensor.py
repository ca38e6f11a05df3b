"""The Tensor: an array that remembers how it was made."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.autograd.errors import usual_tensor
from tinygrad_norm.autograd.grad_mode import grad_mode
from tinygrad_norm.autograd.node import Node
from tinygrad_norm.backend import Array, Device, backend_of, is_array, plain_array, transfer, xp

if TYPE_CHECKING:  # what ops/__init__.py binds, as tests/stubs.py writes it down
    from tinygrad_norm.autograd.methods import Methods
else:
    Methods = object

NUMBERS = (bool, int, float, np.generic)


class Size(tuple):
    """The shape of a Tensor: a tuple that prints as Size([2, 3])."""

    __slots__ = ()

    def numel(self) -> int:
        """The number of elements, the product of the sizes."""
        return int(np.prod(self, dtype=np.int64))

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return Size(found) if isinstance(index, slice) else found

    def __add__(self, other: Any) -> Size:
        return Size(super().__add__(tuple(other)))

    def __repr__(self) -> str:
        return f"Size({list(self)})"


class Version:
    """The in-place edits of one memory: a Tensor shares it with its views and with what detach() gives."""

    count = 0  # how many
    last_edit = ""  # the name of the method
    copies: weakref.WeakSet[Tensor] | None = None  # views that had to be copied, and are kept equal


Steps = tuple[tuple[Callable, dict], ...]  # ops with their settings, one after the other


class View:
    """Why a Tensor shares the memory of another: `base`, shown through `steps`, is the view.

    steps: (op, its settings), one after the other; seen: the version that the view's history belongs to;
    frozen: why the view may not be edited while gradients are recorded, "" if it may; inherits: True for a view
    that was made without recording (under no_grad) and requires grad only because its base does: gradients stop at it.
    handed_on: True if `base` stands for this same Tensor as it was before a reshape in place (squeeze_()).
    """

    __slots__ = ("base", "frozen", "handed_on", "inherits", "seen", "shape", "steps")

    def __init__(self, base: Tensor, steps: Steps, seen: int, frozen: str) -> None:
        self.base, self.steps, self.seen, self.frozen = base, steps, seen, frozen
        self.inherits = self.handed_on = False
        self.shape = base.array.shape  # a leaf may be reshaped in place, under no_grad; then the steps no longer fit

    def root(self) -> Tensor:
        """The Tensor that owns the memory. After squeeze_() a base is a view of its stand-in: the chain is followed."""
        base = self.base
        while base.view_of is not None:
            base = base.view_of.base
        return base


def shown(x: Any, steps: Steps) -> Any:
    """What the steps of a view show of x, an array or a Tensor."""
    for step, settings in steps:
        x = step(x, **settings)
    return x


class Tensor(Methods):
    """An array that remembers how it was made.

    Tensor([[1, 2]]) holds data as float32, Tensor(2, 3) is of that size and not initialised; `tensor(data)` keeps
    the type of the data.

    array: the NumPy or CuPy array with the values; requires_grad: whether gradients flow to it; grad: the gradient
    that `backward` left here, for leaves; grad_fn: the Node of what made it, None for a leaf.

    `tinygrad_norm.ops` attaches the mathematics (`sum`, `relu`, `@`, ...), `autograd.backward` the method of that name.
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_edits",
        "_grad",
        "array",
        "awaited",
        "hooks",
        "needs_grad",
        "node",
        "view_of",
    )
    array: Array
    needs_grad: bool  # requires_grad, as of the last refresh
    node: Node | None  # grad_fn, as of the last refresh
    hooks: dict[int, Callable] | None
    awaited: dict[int, Callable] | None  # hooks that wait for .grad
    view_of: View | None
    _grad: Tensor | None
    _edits: Version | None  # None until somebody asks

    __hash__ = object.__hash__

    def __init__(self, *data: Any, requires_grad: bool = False) -> None:
        if len(data) != 1 or isinstance(data[0], (int, np.integer)) or data[0].__class__ is Size:
            sizes = data[0] if len(data) == 1 and isinstance(data[0], tuple) else data
            if not all(isinstance(n, (int, np.integer)) for n in sizes):
                raise TypeError(f"Tensor(): expected data, or sizes as integers, but got {data!r}")
            array = xp().empty(tuple(int(n) for n in sizes) if data else (0,), dtypes.DEFAULT)
        else:
            value = plain_array(data[0])
            array = value.array if isinstance(value, Tensor) else value if is_array(value) else xp().asarray(value)
            if array.dtype.kind not in "fiub" or not (array.ndim or isinstance(value, Tensor)):
                raise TypeError(f"Tensor(): expected sizes, a sequence of numbers, an array or a Tensor, but got {value!r}")
            if not isinstance(value, Tensor):
                array = array.astype(dtypes.DEFAULT, copy=False)
        _fill(self, array)
        if requires_grad:
            self.requires_grad_()

    # ---- what it is -----------------------------------------------------------------------

    @property
    def shape(self) -> Size:
        """The sizes of the dimensions."""
        return Size(self.array.shape)

    dtype = property(attrgetter("array.dtype"), doc="The element type.")
    ndim = property(attrgetter("array.ndim"), doc="The number of dimensions.")

    @property
    def device(self) -> Device:
        """Where the values are: "cpu" or "cuda"."""
        return Device(backend_of(self.array).device)

    @property
    def version(self) -> Version:
        """The edits of the memory, which views share."""
        if self._edits is None:
            self._edits = Version()
        return self._edits

    @version.setter
    def version(self, value: Version) -> None:
        self._edits = value

    @property
    def _version(self) -> int:
        """How often the memory was edited."""
        return self.version.count

    # ---- its place in the graph -----------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow to this Tensor. Setting it is `requires_grad_`."""
        if self.view_of is not None:
            refresh(self)
        return self.needs_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    @property
    def grad_fn(self) -> Node | None:
        """The Node of the op that made this Tensor, None for a leaf."""
        if self.view_of is not None:
            refresh(self)
        return self.node

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded op made this Tensor: `backward` leaves gradients in leaves only."""
        return self.grad_fn is None

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` left here. A gradient assigned has to have this Tensor's shape, dtype and device."""
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            _check_gradient(self, value)
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    @property
    def data(self) -> Tensor:
        """The same memory without history; `backward` does not notice edits made through it."""
        return wrap(self.array)

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"the data of a Tensor must be a tensor, but got {type(value).__name__}")
        if self.needs_grad and value.array.dtype.kind != "f":
            raise RuntimeError("data set to a tensor that requires gradients must be floating point or complex dtype")
        self.array = value.array
        self.view_of = None

    def detach(self) -> Tensor:
        """The same memory without history; `backward` notices edits made through it."""
        result = wrap(self.array)
        result.version = self.version
        return result

    def detach_(self) -> Tensor:
        """Forget the history, in place. Raises RuntimeError for a view: its base keeps the history."""
        if self.view_of is not None and not self.view_of.handed_on:
            raise RuntimeError("Can't detach views in-place. Use detach() instead.")
        self.view_of = None
        self.node, self.needs_grad = None, False
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Ask for (or decline) a gradient for this leaf, in place."""
        if not isinstance(requires_grad, (bool, np.bool_)):
            raise TypeError(f"requires_grad_(): argument 'requires_grad' must be bool, not {type(requires_grad).__name__}")
        frozen = self.view_of is not None and self.view_of.frozen  # not to be brought up to date
        if (self.node if frozen else self.grad_fn) is not None:
            if requires_grad:
                return self
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. If you want to use a computed "
                "variable in a subgraph that doesn't require differentiation use var_no_grad = var.detach()."
            )
        if requires_grad and self.array.dtype.kind != "f":
            raise RuntimeError(f"only Tensors of floating point dtype can require gradients, but got {self.dtype}")
        self.needs_grad = bool(requires_grad)
        return self

    @property
    def retains_grad(self) -> bool:
        """Whether `retain_grad` was called, on a Tensor that is no leaf."""
        return self.node is not None and self.node.retained is not None and self.node.retained() is self

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

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> RemovableHandle:
        """Call `hook(self)` when `backward` has added the whole gradient to `.grad` of this leaf, and goes on elsewhere."""
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if not self.is_leaf:
            raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
        if self.awaited is None:
            self.awaited = {}
        return RemovableHandle(self.awaited, hook)

    # ---- copies ---------------------------------------------------------------------------

    def __deepcopy__(self, memo: dict) -> Tensor:
        if self.grad_fn is not None:
            raise RuntimeError(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment: "
                "use .detach().clone()"
            )
        if id(self) not in memo:
            memo[id(self)] = copy = new(type(self))
            _fill(copy, self.array.copy(order="K"))
            copy.needs_grad = self.needs_grad
            copy._grad = None if self._grad is None else self._grad.__deepcopy__(memo)
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> tuple:
        """A pickled Tensor is a leaf when it comes back, on the device it was on."""
        home = backend_of(self.array).name
        return _unpickled, (type(self), transfer(self.array, "cpu"), home, self.requires_grad, dict(self.__dict__))


class RemovableHandle:
    """What registering a hook returns: `remove()`, or leaving a `with` block on it, takes the hook away again."""

    _ids = itertools.count()

    def __init__(self, hooks: dict[int, Any], hook: Any, first: bool = False) -> None:
        self._hooks, self.id = hooks, next(self._ids)
        others: dict[int, Any] = dict(hooks) if first else {}
        if first:
            hooks.clear()
        hooks[self.id] = hook
        hooks.update(others)

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


usual_tensor(Tensor)
new = object.__new__


def _fill(tensor: Tensor, array: Array) -> Tensor:
    """A Tensor, or one of a subclass, around an array, without history."""
    tensor.array = array
    tensor._grad = tensor._edits = tensor.hooks = tensor.awaited = tensor.node = tensor.view_of = None
    tensor.needs_grad = False
    return tensor


def wrap(array: Any) -> Tensor:
    """A Tensor without history around an array; a NumPy scalar, or a subclass of NumPy's array, becomes an array first."""
    tensor = new(Tensor)  # as _fill, without a call
    if array.__class__ is not np.ndarray:
        array = np.asarray(array) if isinstance(array, np.generic) else plain_array(array)
    tensor.array = array
    tensor._grad = tensor._edits = tensor.hooks = tensor.awaited = tensor.node = tensor.view_of = None
    tensor.needs_grad = False
    return tensor


def raw(x: Any) -> Any:
    """The array of a Tensor; anything else as it is."""
    return x.array if isinstance(x, Tensor) else x


def _unpickled(kind: type, host: np.ndarray, home: str, requires_grad: bool, attributes: dict) -> Tensor:
    tensor = _fill(new(kind), transfer(host, home))
    tensor.needs_grad = requires_grad
    tensor.__dict__.update(attributes)
    return tensor


def _check_gradient(x: Tensor, g: Any) -> None:
    """Raise unless g can be the gradient of x."""
    if not isinstance(g, Tensor):
        raise TypeError(f"assigned grad expected to be a Tensor or None but got grad of type '{type(g).__name__}'")
    if g is x:
        raise RuntimeError("can't assign Variable as its own grad")
    if g.array.dtype != x.array.dtype:
        raise RuntimeError(
            f"assigned grad has data of a different type: expected {x.dtype}, but got {g.dtype}: convert it with .to()"
        )
    if g.array.__class__ is not x.array.__class__:
        raise RuntimeError(f"assigned grad has data located on a different device: expected {x.device}, but got {g.device}")
    if g.array.shape != x.array.shape:
        raise RuntimeError(f"assigned grad has data of a different size: expected {list(x.shape)}, but got {list(g.shape)}")


def set_history(x: Tensor, node: Node) -> None:
    """Make `node` what made x; a gradient that x retains is the new node's."""
    if x.retains_grad:
        x.node.retained, node.retained = None, weakref.ref(x)  # type: ignore[union-attr]
    x.node, x.needs_grad = node, True


def refresh(x: Tensor) -> None:
    """Bring the history of a view up to date after its memory was edited through another Tensor.

    A view that was made without history, under no_grad say, of a Tensor that requires grad requires it as well.
    """
    view = x.view_of
    if view is None or (x.needs_grad and view.seen == x._edits.count and not view.inherits):  # type: ignore[union-attr]
        return
    base = view.root()
    if view.inherits:
        x.needs_grad = view.inherits = base.needs_grad
    if base.needs_grad and view.seen != x.version.count and base.array.shape == view.shape:
        if view.frozen:
            if not grad_mode.enabled:
                return
            raise RuntimeError(
                f"{view.frozen}, and its base or another view of its base was modified inplace: clone() it first"
            )
        before, grad_mode.enabled = grad_mode.enabled, True
        try:  # one call, as in backward._differentiate
            renewed = shown(base, view.steps)
        finally:
            grad_mode.enabled = before
        if renewed.node is not None:
            set_history(x, renewed.node)
            view.inherits = False
    if base.needs_grad and not x.needs_grad:
        x.needs_grad = view.inherits = True
    view.seen = x.version.count
