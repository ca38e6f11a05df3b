"""What went wrong in an op, said in the words of tensors."""

from __future__ import annotations

from typing import Any

from tinygrad_norm.backend import backend_of, is_array


def explain(name: str, inputs: list[Any], broadcasts: bool, error: Exception) -> Exception | None:
    """A clearer error than the array library's, or None where that one says it all."""
    arrays = [x for x in inputs if is_array(x)]
    if isinstance(error, RuntimeError) and not isinstance(error, NotImplementedError):
        return None
    if (mixture := mixed_devices(name, arrays)) is not None:
        return mixture
    if broadcasts and isinstance(error, ValueError):
        return RuntimeError(_not_broadcastable(arrays) or f"{name}: {error}")
    return None


def mixed_devices(name: str, arrays: list[Any]) -> RuntimeError | None:
    """The error for arrays of more than one backend, None if they agree."""
    backends = {b.name: b for b in map(backend_of, arrays)}
    if len(backends) < 2:
        return None
    found = " and ".join(f"{b.device} ({b.name})" for b in backends.values())
    first = next(iter(backends.values())).device
    return RuntimeError(
        f'{name}: expected all tensors to be on the same device, but found {found}: move the others with .to("{first}") first'
    )


def _not_broadcastable(arrays: list[Any]) -> str | None:
    """PyTorch's sentence about the last dimension in which two shapes disagree."""
    for i, a in enumerate(arrays):
        for b in arrays[i + 1 :]:
            ndim = max(a.ndim, b.ndim)
            for back in range(1, min(a.ndim, b.ndim) + 1):
                m, n = a.shape[-back], b.shape[-back]
                if m != n and 1 not in (m, n):
                    return (
                        f"The size of tensor a ({m}) must match the size of tensor b ({n}) "
                        f"at non-singleton dimension {ndim - back}: the shapes are {list(a.shape)} and {list(b.shape)}"
                    )
    return None
