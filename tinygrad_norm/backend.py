"""The NumPy/CuPy switch, and what is asked about arrays.

Creation follows the switch, computation follows the array: `zeros(3)` asks which backend is
current, `x * 2` asks nobody. This is the only file that imports CuPy.

    set_backend("cupy")              # for the whole program
    with backend("cupy"): ...        # for a block
    TINYGRAD_NORM_BACKEND=cupy       # from outside
    x.to("cuda"), zeros(3, device="cuda")   # for one tensor

"cpu" is another name for "numpy", "cuda" another name for "cupy".
"""

from __future__ import annotations

import contextlib
import importlib
import os
import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_norm import dtypes

Array = Any  # an ndarray of the backend: numpy.ndarray or cupy.ndarray

_OLDEST_CUPY = 14
_ALIASES = {"cpu": "numpy", "cpu:0": "numpy", "cuda": "cupy", "cuda:0": "cupy", "gpu": "cupy"}


class Device(str):
    """Where a Tensor lives: a string, "cpu" or "cuda" or "cuda:1", with the parts that PyTorch's device has.

    Device("cuda", 1) is Device("cuda:1"). Raises RuntimeError for a device that is neither.
    """

    __slots__ = ()

    def __new__(cls, type: Any = "cpu", index: int | None = None) -> Device:  # noqa: D102
        name = f"cuda:{type}" if isinstance(type, int) else str(type) if index is None else f"{type}:{index}"
        kind, _, number = name.partition(":")
        if kind not in {"cuda", *(b.device for b in _loaded.values())} or (":" in name and not number.isdigit()):
            raise RuntimeError(f"Expected one of cpu, cuda device type at start of device string: {name}")
        return super().__new__(cls, name)

    @property
    def type(self) -> str:
        """The name without the number."""
        return str(self).partition(":")[0]

    @property
    def index(self) -> int | None:  # type: ignore[override]
        """The number, None without one."""
        number = str(self).partition(":")[2]
        return int(number) if number else None

    def __enter__(self) -> Device:
        """Create new tensors here inside the `with` block, in this thread."""
        _switch.before.append(_current())
        _switch.current = load(self)
        return self

    def __exit__(self, *exception: object) -> None:
        _switch.current = _switch.before.pop()

    def __repr__(self) -> str:
        return f"device(type={self.type!r}" + (")" if self.index is None else f", index={self.index})")


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


class Backend(NamedTuple):
    """An array library: its name, the device its arrays live on, its module, its array type."""

    name: str
    device: str
    module: Any
    array_type: type


_NUMPY = Backend("numpy", "cpu", np, np.ndarray)
_loaded: dict[str, Backend] = {"numpy": _NUMPY}
_module_of: dict[type, Any] = {np.ndarray: np}


def register(backend: Backend) -> None:
    """Make an array library known, under its name and for its array type."""
    _loaded[backend.name] = backend
    _module_of[backend.array_type] = backend.module


def load(name: str) -> Backend:
    """The backend of that name.

    Raises ValueError for an unknown name, ImportError where CuPy is missing or too old, RuntimeError without a GPU.
    """
    if not isinstance(name, str):
        raise TypeError(f"expected the name of a device or backend as a string, but got {type(name).__name__}")
    name = _ALIASES.get(str(name), str(name))
    if name not in _loaded:
        if name != "cupy":
            raise ValueError(f"unknown backend or device {name!r}: expected 'numpy' (or 'cpu') or 'cupy' (or 'cuda')")
        register(_load_cupy())
    return _loaded[name]


def _load_cupy() -> Backend:
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        if getattr(error, "name", None) not in (None, "cupy"):
            raise ImportError(f"CuPy is installed, but cannot be imported: {error}") from error
        raise ImportError("the backend 'cupy' needs CuPy: pip install 'tinygrad_norm[cuda13]', or [cuda12]") from error
    if int(cupy.__version__.split(".")[0]) < _OLDEST_CUPY:
        raise ImportError(f"expected CuPy {_OLDEST_CUPY} or newer, not {cupy.__version__}: pip install --upgrade cupy-cuda13x")
    try:
        found = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise RuntimeError(
            f"CuPy {cupy.__version__} is installed, but cannot reach a GPU: {error}. Does `nvidia-smi` show one, and a CUDA "
            "version not older than CuPy's (13 for cupy-cuda13x, 12 for cupy-cuda12x)? The backend 'numpy' needs neither"
        ) from error
    if not found:
        raise RuntimeError("CuPy finds no GPU: is CUDA_VISIBLE_DEVICES empty? The backend 'numpy' needs none")
    return Backend("cupy", "cuda", cupy, cupy.ndarray)


# ---- the switch ---------------------------------------------------------------------------


class _Switch(threading.local):
    """The current backend, one per thread; a new thread starts with the program's default."""

    default: Backend | None = None

    def __init__(self) -> None:
        self.current = _Switch.default
        self.before: list[Backend] = []  # of each Device that is entered as a context


_switch = _Switch()


def get_backend() -> str:
    """The name of the backend on which new tensors are created."""
    return _current().name


def set_backend(name: str) -> None:
    """Create new tensors on this backend from now on, in this thread and in those started later."""
    _switch.current = _Switch.default = load(name)


def set_default_device(device: str | None) -> None:
    """As set_backend, under PyTorch's name; None means "cpu"."""
    set_backend("cpu" if device is None else device)


@contextlib.contextmanager
def backend(name: str) -> Iterator[None]:
    """Create new tensors on this backend inside the `with` block, in this thread."""
    before = _current()
    _switch.current = load(name)
    try:
        yield
    finally:
        _switch.current = before


def _current() -> Backend:
    if _switch.current is None:
        if _Switch.default is None:
            _Switch.default = load(os.environ.get("TINYGRAD_NORM_BACKEND", "numpy"))
        _switch.current = _Switch.default
    return _switch.current


# ---- which library an array belongs to ----------------------------------------------------


def xp(*arrays: Any) -> Any:
    """The module (numpy or cupy) of the first array among the arguments; the switch's if none."""
    for array in arrays:
        module = _module_of.get(array.__class__)
        if module is not None:
            return module
        if isinstance(array, (np.ndarray, np.generic)):
            return np
    return _current().module


def is_array(value: Any) -> bool:
    """Whether value is an array of a loaded backend."""
    return value.__class__ in _module_of or isinstance(value, np.ndarray)


def plain_array(value: Any) -> Any:
    """An array without what a subclass of NumPy's makes of its operators: `*` of np.matrix is a matrix product.

    A NumPy scalar becomes an array; what is no array stays as it is. Raises TypeError for a masked array.
    """
    if value.__class__ in _module_of or not isinstance(value, (np.ndarray, np.generic)):
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError("a masked array: there are no masks here. Give masked_array.filled(value), or the mask as a Tensor")
    return np.asarray(value)


def raw(x: Any) -> Any:
    """The array of a Tensor; anything else as it is."""
    return getattr(x, "array", x)


def backend_of(array: Array) -> Backend:
    """The backend whose array this is."""
    module = xp(array)
    return next(b for b in _loaded.values() if b.module is module)


def array_libraries() -> set[str]:
    """The names of the packages that the loaded backends' arrays are from."""
    return {b.array_type.__module__.partition(".")[0] for b in _loaded.values()}


def module_for(device: str | None) -> Any:
    """The module that creates arrays on `device`; the current backend's for None."""
    return (_current() if device is None else load(device)).module


def transfer(array: Array, device: str) -> Array:
    """The array on `device`: itself if it is there, else a copy in the same memory order."""
    source, target = backend_of(array), load(device)
    if source is target:
        return array
    host = array.get() if source.name != "numpy" else array
    return host if target.name == "numpy" else target.module.asarray(host)


def new_array(*data: Any) -> Array:
    """What Tensor(*data) holds: data as float32, or an array of these sizes that is not initialised."""
    if len(data) != 1 or isinstance(data[0], (int, np.integer)) or data[0].__class__ is Size:
        sizes = data[0] if len(data) == 1 and isinstance(data[0], tuple) else data
        if not all(isinstance(n, (int, np.integer)) for n in sizes):
            raise TypeError(f"Tensor(): expected data, or sizes as integers, but got {data!r}")
        return xp().empty(tuple(int(n) for n in sizes) if data else (0,), dtypes.DEFAULT)
    value = plain_array(data[0])
    if hasattr(value, "needs_grad"):  # a Tensor: its memory is shared
        return value.array
    array = value if is_array(value) else xp().asarray(value)
    if array.dtype.kind not in "fiub" or not array.ndim:
        raise TypeError(f"Tensor(): expected sizes, a sequence of numbers, an array or a Tensor, but got {value!r}")
    return array.astype(dtypes.DEFAULT, copy=False)


def is_writable(array: Array) -> bool:
    """Whether each element has a place of its own, and may be edited."""
    return getattr(array.flags, "writeable", True) and not overlaps_itself(array)


def overlaps_itself(array: Array) -> bool:
    """Whether one element may stand in several places, as after expand() or in windows that slide."""
    if array.flags.c_contiguous:
        return False
    reach = array.itemsize  # of the dimensions seen so far
    for step, n in sorted((abs(step), n) for step, n in zip(array.strides, array.shape) if n > 1):
        if step < reach:
            return array.size > 0
        reach += step * (n - 1)
    return False


def apart(arrays: Sequence[Any]) -> list[Any]:
    """The arrays, and Nones, with a view in the place of one that comes again."""
    known: set[int] = set()
    result = []
    for a in arrays:
        result.append(a[...] if a is not None and id(a) in known else a)
        known.add(id(a))
    return result


def shares_memory(array: Array, source: Array) -> bool:
    """Whether `array` is `source` or a view of its memory."""
    owner = source if source.base is None else source.base
    while array is not None:
        if array is source or array is owner:
            return True
        array = getattr(array, "base", None)
    return False
