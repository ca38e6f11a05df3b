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

import numpy as np

_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def read_idx(path: str | os.PathLike) -> np.ndarray:
    """The array in an IDX file, gzipped or plain. Raises ValueError where the file is not what it says."""
    raw = Path(path).read_bytes()
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path}: a damaged gzip file ({error}): fetch it again") from error
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in _TYPES:
        raise ValueError(
            f"{path}: not an IDX file: it starts with {raw[:4].hex(' ') or 'nothing'}, expected 00 00 and a type code"
        )
    dtype, ndim = np.dtype(_TYPES[raw[2]]), raw[3]
    start = 4 + 4 * ndim
    if len(raw) < start:
        raise ValueError(f"{path}: truncated: {len(raw)} bytes, but the header alone takes {start}")
    shape = struct.unpack(f">{ndim}I", raw[4:start])
    expected = math.prod(shape) * dtype.itemsize
    if len(raw) - start != expected:
        what = "truncated" if len(raw) - start < expected else "too long"
        raise ValueError(f"{path}: {what}: {len(raw) - start} bytes of data, but the shape {list(shape)} takes {expected}")
    return np.frombuffer(raw, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


def write_idx(path: str | os.PathLike, array: np.ndarray) -> None:
    """Write an array as an IDX file; gzipped (without a time stamp) if the name ends in .gz."""
    code = next((c for c, t in _TYPES.items() if np.dtype(t) == array.dtype.newbyteorder(">")), None)
    if code is None:
        raise TypeError(f"IDX holds uint8, int8, int16, int32, float32 or float64, but got {array.dtype}")
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    raw = header + array.astype(_TYPES[code]).tobytes()
    Path(path).write_bytes(gzip.compress(raw, 9, mtime=0) if str(path).endswith(".gz") else raw)
