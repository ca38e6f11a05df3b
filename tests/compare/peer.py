"""Run the same lines here and in PyTorch, and compare: values, gradients, errors."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import close, host

import tinygrad_norm as tn

if os.environ.get("REQUIRE_TORCH"):
    import torch
else:
    torch = pytest.importorskip("torch", reason="comparisons need PyTorch: pip install 'tinygrad_norm[compare]'")

TOLERANCE = 1e-10


def both(values: Any, requires_grad: bool = True) -> tuple[tn.Tensor, Any]:
    """The same values as a Tensor here and a tensor there."""
    array = np.array(values)
    ours, theirs = tn.tensor(array, device=tn.get_backend()), torch.tensor(array)
    if requires_grad and array.dtype.kind == "f":
        ours.requires_grad_(), theirs.requires_grad_()
    return ours, theirs


def same(function: Callable, *inputs: Any, tolerance: float = TOLERANCE) -> None:
    """Assert that function(library, F, *inputs) has the same values and gradients in both libraries."""
    pairs = [both(x) if isinstance(x, np.ndarray) else (x, x) for x in inputs]
    ours = function(tn, tn.nn.functional, *[p[0] for p in pairs])
    theirs = function(torch, torch.nn.functional, *[p[1] for p in pairs])
    for a, b in zip(*(r if isinstance(r, (tuple, list)) else [r] for r in (ours, theirs)), strict=True):
        assert str(b.dtype) == f"torch.{a.dtype}", f"dtype {a.dtype}, PyTorch's is {b.dtype}"
        close(a, b.detach().numpy(), tolerance)
        assert a.requires_grad == b.requires_grad
        if b.requires_grad:
            cotangent = np.random.default_rng(0).normal(size=tuple(b.shape))
            a.backward(tn.tensor(cotangent, device=tn.get_backend()).to(a.dtype), retain_graph=True)
            b.backward(torch.tensor(cotangent).to(b.dtype), retain_graph=True)
    for a, b in pairs:
        if isinstance(a, tn.Tensor) and b.requires_grad:
            assert (a.grad is None) == (b.grad is None)
            if a.grad is not None:
                close(a.grad, b.grad.numpy(), tolerance)


def same_error(function: Callable) -> None:
    """Assert that function(library, nn) raises the same kind of error in both."""
    with pytest.raises(Exception) as theirs:
        function(torch, torch.nn)
    with pytest.raises(theirs.type):
        function(tn, tn.nn)


__all__ = ["TOLERANCE", "both", "close", "host", "same", "same_error", "tn", "torch"]
