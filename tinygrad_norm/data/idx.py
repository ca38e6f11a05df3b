"""IDX, the file format of MNIST: two zero bytes, a type, the number of dimensions, their sizes, the data.

All numbers are big-endian; the type code 8 is uint8. Files may be gzipped.
Format: LeCun, Cortes and Burges, "The MNIST database of handwritten digits".
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def read_idx(path: str | os.PathLike) -> np.ndarray:
    """The array in an IDX file, gzipped or plain. Raises ValueError where the file is not what it says."""
    try:
        with open(path, "rb") as plain:
            zipped = plain.read(2) == b"\x1f\x8b"
        with gzip.open(path) if zipped else open(path, "rb") as file:
            return _read(path, file)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: a damaged gzip file ({error}): fetch it again") from error


def _read(path: str | os.PathLike, file: Any) -> np.ndarray:
    """The array; no more is read, or unpacked, than the header says, and one byte."""
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in _TYPES:
        raise ValueError(f"{path}: not an IDX file: it starts with {start.hex(' ') or 'nothing'}, not 00 00 and a type code")
    dtype, ndim = np.dtype(_TYPES[start[2]]), start[3]
    sizes = file.read(4 * ndim)
    if len(sizes) < 4 * ndim:
        raise ValueError(f"{path}: truncated: {4 + len(sizes)} bytes, but the header alone takes {4 + 4 * ndim}")
    shape = struct.unpack(f">{ndim}I", sizes)
    expected = math.prod(shape) * dtype.itemsize
    chunks, found = [], 0
    while found <= expected and (chunk := file.read(min(expected + 1 - found, 2**24))):
        chunks.append(chunk)
        found += len(chunk)
    if found != expected:
        what = f"truncated: {found}" if found < expected else f"too long: more than {expected}"
        raise ValueError(f"{path}: {what} bytes of data, but the shape {list(shape)} takes {expected}")
    return np.frombuffer(b"".join(chunks), dtype).reshape(shape).astype(dtype.newbyteorder("="))


def write_idx(path: str | os.PathLike, array: np.ndarray) -> None:
    """Write an array as an IDX file; gzipped (without a time stamp) if the name ends in .gz."""
    code = next((c for c, t in _TYPES.items() if np.dtype(t) == array.dtype.newbyteorder(">")), None)
    if code is None:
        raise TypeError(f"IDX holds uint8, int8, int16, int32, float32 or float64, but got {array.dtype}")
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    raw = header + array.astype(_TYPES[code]).tobytes()
    Path(path).write_bytes(gzip.compress(raw, 9, mtime=0) if str(path).endswith(".gz") else raw)
