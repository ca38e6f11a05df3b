"""save and load: Tensors, and what surrounds them, in one safetensors file.

A file holds a tree of dicts and lists with Tensors, arrays and plain values as its leaves. The
tensors are stored under their dotted paths, so that a state_dict is a safetensors file like any
other; all else goes into the file's metadata as JSON.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Tensor, wrap
from tinygrad_norm.backend import is_array, transfer

_KEY = "tinygrad_norm"


def save(obj: Any, path: str | os.PathLike) -> None:
    """Write a state_dict, or a tree of dicts and lists of Tensors and plain values, to a file.

    The file is complete or not there: it is written under another name, flushed to the disk, and
    renamed. Raises TypeError for a value that JSON cannot hold.
    """
    from safetensors.numpy import save as to_bytes

    tensors: dict[str, np.ndarray] = {}
    tree = _flatten(obj, "", tensors)
    plain = isinstance(obj, Mapping) and all(isinstance(v, Tensor) for v in obj.values())
    metadata = {} if plain else {_KEY: json.dumps(tree)}
    path = Path(path)
    raw = to_bytes(tensors, metadata or None)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    _sync_folder(path.parent)


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


def load(path: str | os.PathLike, device: str | None = "cpu") -> Any:
    """What `save` wrote, with its Tensors on `device`; a dict of Tensors from any other safetensors file.

    Raises FileNotFoundError, and ValueError for a file that is not safetensors or is truncated.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file")
    try:
        with safe_open(path, framework="numpy") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except (SafetensorError, OSError, TypeError) as error:
        raise ValueError(
            f"{path}: not a complete safetensors file ({error}). If it is a .pt file of PyTorch's, "
            "save it there with safetensors.torch.save_file"
        ) from error
    for key, array in tensors.items():
        if array.dtype not in dtypes.SUPPORTED:
            raise ValueError(f"{path}: {key} is {array.dtype}, expected one of {', '.join(d.name for d in dtypes.SUPPORTED)}")
    made = {key: wrap(transfer(array, device or "cpu")) for key, array in tensors.items()}
    return _rebuild(json.loads(metadata[_KEY]), made) if _KEY in metadata else made


def _flatten(value: Any, path: str, tensors: dict[str, np.ndarray]) -> Any:
    """The tree with each Tensor replaced by a reference to its entry in `tensors`."""
    if isinstance(value, Tensor) or is_array(value):
        array = transfer(value.array if isinstance(value, Tensor) else value, "cpu")
        if path in tensors:
            raise ValueError(f"save: two values have the path {path!r}: rename one of the keys")
        tensors[path] = np.ascontiguousarray(array).reshape(array.shape)
        return {"tensor": path}
    if isinstance(value, Mapping):
        kinds = {type(key).__name__ for key in value}
        if not kinds <= {"str", "int"}:
            raise TypeError(f"save: {path or 'the top level'}: keys have to be str or int, but got {sorted(kinds)}")
        return {"dict": [[key, _flatten(v, f"{path}.{key}" if path else str(key), tensors)] for key, v in value.items()]}
    if isinstance(value, (list, tuple)):
        items = [_flatten(v, f"{path}.{i}" if path else str(i), tensors) for i, v in enumerate(value)]
        return {"tuple" if isinstance(value, tuple) else "list": items}
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return {"value": value}
    raise TypeError(
        f"save: {path or 'the top level'}: expected Tensors, numbers, strings, None, dicts or lists, "
        f"but got {type(value).__name__}"
    )


def _rebuild(tree: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    ((kind, content),) = tree.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _rebuild(v, tensors) for key, v in content}
    if kind in ("list", "tuple"):
        made = [_rebuild(v, tensors) for v in content]
        return tuple(made) if kind == "tuple" else made
    return content
