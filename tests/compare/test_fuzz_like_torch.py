"""Random programs run line by line on PyTorch and here; see fuzz.py, which tries thousands by hand."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="comparisons need PyTorch: pip install 'tinygrad_norm[compare]'")
import fuzz  # noqa: E402

import tinygrad_norm as tn  # noqa: E402

pytestmark = pytest.mark.skipif(tn.get_backend() != "numpy", reason="PyTorch's tensors are on the host")


@pytest.mark.parametrize("seed", range(0, 300, 10))
def test_ten_random_programs_do_what_pytorch_does(seed: int) -> None:
    for s in range(seed, seed + 10):
        fuzz.run(s)


def test_the_fuzzer_notices_a_wrong_gradient(monkeypatch) -> None:
    plan = tn.mul.op
    monkeypatch.setitem(plan.vjps, "input", (lambda g, other: g * other * 2, ("other",)))
    monkeypatch.setattr(plan, "plans", {})
    with pytest.raises(fuzz.Difference):
        list(map(fuzz.run, range(100)))
