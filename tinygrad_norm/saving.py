"""save and load: Tensors, and what surrounds them, in one safetensors file.

A file holds a tree of dicts and lists with Tensors, arrays and plain values as its leaves. The
tensors are stored under their dotted paths, so that a state_dict is a safetensors file like any
other; the tree, with the order and the types of its keys, goes into the file's metadata as JSON, with a checksum of it all.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import platform
import stat
import zlib
from collections import Counter, OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Size, Tensor
from tinygrad_norm.backend import is_array, plain_array, transfer
from tinygrad_norm.checks.notes import noted
from tinygrad_norm.engine.tensor import wrap
from tinygrad_norm.nn.module import Module
from tinygrad_norm.nn.parameter import Parameter
from tinygrad_norm.warn import warn

_KEY, _CHECKSUM = "tinygrad_norm", "tinygrad_norm_sha256"
_MAPPINGS = {"dict": dict, "OrderedDict": OrderedDict, "Counter": Counter}
_SEQUENCES = {"list": list, "tuple": tuple, "Size": Size}
_PLAIN = (bool, int, float, str, type(None))
_counter = itertools.count()
_said: set[str] = set()


@noted
def save(
    obj: Any,
    f: str | os.PathLike | IO[bytes],
    pickle_module: Any = None,
    pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Write a state_dict, or a tree of dicts and lists of Tensors and plain values, to a file.

    What is saved loads again with its keys, their order and all types. A file is complete or not there: it is written
    under another name, flushed to the disk, and renamed; permissions stay, a symbolic link is followed. f may be an open
    binary file instead. Nothing is pickled, so PyTorch's other arguments change nothing. Raises TypeError for a value that
    would not come back as it is.
    """
    from safetensors.numpy import save as to_bytes

    tensors: dict[str, np.ndarray] = {}
    try:
        tree = json.dumps(_flatten(obj, "", tensors))
    except RecursionError:
        raise ValueError("save: what is to be saved contains itself, or is nested too deeply") from None
    raw = to_bytes(tensors, {_KEY: tree, _CHECKSUM: _checksum(tree, tensors)})
    if hasattr(f, "write"):
        f.write(raw)
        return
    path = Path(os.path.realpath(f))
    if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe, a device: written to, and not replaced
        path.write_bytes(raw)
        return
    if path.suffix in (".pt", ".pth") and "suffix" not in _said:
        _said.add("suffix")
        warn(f"{path.name} is written in the safetensors format, whatever its name: PyTorch's load() cannot read it")
    _write(path, raw)


def _write(path: Path, raw: bytes) -> None:
    """Write a file under another name, and rename it when it is on the disk."""
    _remove_abandoned(path.parent)
    temporary = path.with_name(f"{_PART}{os.getpid()}-{next(_counter)}.part")
    try:
        with open(temporary, "xb") as file:
            with contextlib.suppress(FileNotFoundError):
                os.chmod(temporary, stat.S_IMODE(path.stat().st_mode))
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _sync_folder(path.parent)


_PART = f".tinygrad_norm-{zlib.crc32(platform.node().encode()):x}-"  # and the process, of this machine, that writes it


def _remove_abandoned(folder: Path) -> None:
    """Remove what processes that were killed have left of files that they wrote."""
    for part in folder.glob(f"{_PART}*.part") if os.name == "posix" else ():
        with contextlib.suppress(OSError, ValueError, OverflowError):
            try:
                os.kill(int(part.name.removeprefix(_PART).partition("-")[0]), 0)
            except ProcessLookupError:
                part.unlink()


def _sync_folder(folder: Path) -> None:
    """Make the renaming itself durable, where the system lets one open a folder."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@noted
def load(
    f: str | os.PathLike | IO[bytes],
    map_location: Any = "cpu",
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """What `save` wrote, with its Tensors on the device map_location; a dict of Tensors from any other safetensors file.

    A function as map_location, as older programs have it, means "cpu". Nothing is ever unpickled, so weights_only,
    pickle_module and mmap change nothing. Raises FileNotFoundError, and ValueError for a file that is not safetensors, is
    truncated, or is not what was saved.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    name, raw = _read(f)
    try:
        tensors, metadata = from_bytes(raw), _metadata(raw)
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{name}: not a complete safetensors file ({error}); of a .pt: safetensors.torch.save_file") from error
    for key, array in tensors.items():
        if array.dtype not in dtypes.SUPPORTED and _KEY not in metadata:
            raise ValueError(f"{name}: {key} is {array.dtype}, expected one of {', '.join(d.name for d in dtypes.SUPPORTED)}")
    tree = metadata.get(_KEY)
    if _CHECKSUM in metadata and metadata[_CHECKSUM] != _checksum(tree or "", tensors):
        raise ValueError(f"{name}: damaged: the contents differ from what was saved (SHA-256)")
    device = _device(map_location)
    if tree is None:
        return {key: wrap(transfer(array.copy(), device)) for key, array in tensors.items()}
    try:
        return _rebuild(json.loads(tree), tensors, device)
    except Exception as error:  # whatever a tree can be that nobody has saved
        raise ValueError(f"{name}: damaged: the entry {error} of its metadata cannot be read") from error


def _read(f: Any) -> tuple[str, bytes]:
    """The name and the contents of a file, or of an open one."""
    if hasattr(f, "read"):
        return getattr(f, "name", "the file"), f.read()
    name = os.fspath(f)
    if not os.path.exists(name):
        raise FileNotFoundError(f"{name}: there is no such file")
    if os.path.isdir(name):
        raise ValueError(f"{name}: a folder, not a file")
    return name, Path(name).read_bytes()


def _metadata(raw: bytes) -> dict[str, str]:
    """The metadata in the header of a safetensors file: eight bytes that say how long it is, then JSON."""
    size = int.from_bytes(raw[:8], "little")
    return json.loads(raw[8 : 8 + size]).get("__metadata__") or {}


def _device(map_location: Any) -> str:
    if isinstance(map_location, Mapping):
        map_location = next(iter(map_location.values()), "cpu")
    return "cpu" if map_location is None or callable(map_location) else str(map_location)


def _checksum(tree: str, tensors: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(tree.encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data if array.size else b"")
    return digest.hexdigest()


# ---- the tree -----------------------------------------------------------------------------


def _flatten(value: Any, path: str, tensors: dict[str, np.ndarray]) -> Any:
    """The tree with each Tensor replaced by a reference to its entry in `tensors`."""
    kind, where = type(value), path or "the top level"
    if isinstance(value, Tensor) or is_array(value):
        array = transfer(value.array if isinstance(value, Tensor) else plain_array(value), "cpu")
        if path in tensors:
            raise ValueError(f"save: two values have the path {path!r}: rename one of the keys")
        if path == "__metadata__":
            raise ValueError(f"save: {path!r} is a name that the safetensors format keeps for itself: rename the key")
        if not _is_kept(array.dtype):
            raise TypeError(f"save: {where}: an array of {array.dtype} cannot be saved: convert it with .astype() first")
        tensors[path] = np.ascontiguousarray(array).reshape(array.shape)
        if not isinstance(value, Tensor):
            return {"array": path}
        return {"parameter" if isinstance(value, Parameter) else "tensor": path, "requires_grad": bool(value.requires_grad)}
    if kind in _MAPPINGS.values():
        kinds = {type(key).__name__ for key in value}
        if not kinds <= {"str", "int"}:
            raise TypeError(f"save: {where}: keys have to be str or int, but got {sorted(kinds)}")
        return {kind.__name__: [[k, _flatten(v, f"{path}.{k}" if path else str(k), tensors)] for k, v in value.items()]}
    if kind in _SEQUENCES.values():
        return {kind.__name__: [_flatten(v, f"{path}.{i}" if path else str(i), tensors) for i, v in enumerate(value)]}
    if isinstance(value, np.generic) and _is_kept(value.dtype):
        return {"scalar": [value.dtype.str, value.item()]}
    if kind in _PLAIN:
        return {"value": value}
    hint = ": save its state_dict()" if isinstance(value, Module) else ""
    raise TypeError(f"save: {where}: expected Tensors, numbers, strings, None, dicts or lists, but got {kind.__name__}{hint}")


def _is_kept(dtype: np.dtype) -> bool:
    """Whether the format has this type: numbers of up to eight bytes, in the usual byte order."""
    return dtype.kind in "fiub" and dtype.itemsize <= 8 and dtype.isnative


def _rebuild(tree: dict[str, Any], tensors: Mapping[str, np.ndarray], device: str) -> Any:
    kind, content = next(iter(tree.items()))
    if kind in ("tensor", "parameter"):
        made = wrap(transfer(tensors[content].copy(), device))
        requires_grad = tree.get("requires_grad", False)
        return Parameter(made, requires_grad) if kind == "parameter" else made.requires_grad_(requires_grad)
    if kind == "array":
        return tensors[content].copy()
    if kind in _MAPPINGS:
        return _MAPPINGS[kind]({key: _rebuild(v, tensors, device) for key, v in content})
    if kind in _SEQUENCES:
        return _SEQUENCES[kind](_rebuild(v, tensors, device) for v in content)
    if kind == "scalar" and np.dtype(content[0]).kind in "fiub":
        return np.dtype(content[0]).type(content[1])
    if kind == "value":
        return content
    raise ValueError(repr(kind))
