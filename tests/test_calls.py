"""One right call of everything that is public (bad_input.py): the same values and gradients on both backends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from bad_input import environment, lines, run
from helpers import host

import tinygrad_norm as tn

pytestmark = pytest.mark.skipif(tn.get_backend() != "numpy", reason="compares NumPy with the double of CuPy")
# edits of leaves, values for the host, running moments
WITHOUT_GRADIENT = re.compile(r"_\(|tolist|floor_divide|batch_norm|instance_norm|ReLU\(True")
OF_THE_HOST = ("x.numpy()", "T.from_numpy(array)", "T.from_dlpack(array)", "T.set_num_threads(2)")


def values_of(result: Any) -> Iterator[Any]:
    """What a call returned, as arrays and plain values."""
    if isinstance(result, tn.Tensor):
        yield host(result.detach())
        yield result.requires_grad
    elif isinstance(result, (tuple, list)):
        for part in result:
            yield from values_of(part)
    elif isinstance(result, (int, float, str, type(None))):
        yield result


def outcome(line: str, backend: str) -> list[Any]:
    """What the line returns there, what it leaves in its arguments, and the gradients that it gives them."""
    with tn.backend(backend):
        space = environment(tn)
        tn.manual_seed(0)
        for name in ("x", "y", "v", "p", "sq", "img", "seq", "vol", "k", "k1", "b4"):
            space[name].requires_grad_(not WITHOUT_GRADIENT.search(line))
        result = run(None, line, tn, space)
        for part in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(part, tn.Tensor):
                assert part.array.__class__ is space["x"].array.__class__ or "cpu" in line
                if part.requires_grad:
                    part.sum().backward()
    left = [t for t in space.values() if isinstance(t, tn.Tensor)]
    return [*values_of(result), *values_of(left), *values_of([t.grad for t in left])]


@pytest.mark.parametrize("line", [line for line in lines() if line not in OF_THE_HOST])
def test_a_call_gives_the_same_on_both_backends(line, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    # dropout draws bits where the array library can; here both draw the same numbers
    monkeypatch.setattr(tn.Generator, "kept", lambda self, shape, p, module=np: self.uniform(shape, module=module) >= p)
    found, expected = outcome(line, "strict"), outcome(line, "numpy")
    assert len(found) == len(expected)
    for a, b in zip(found, expected):
        if isinstance(b, np.ndarray):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)
        else:
            assert a == b
