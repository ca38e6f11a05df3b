"""What print() shows is what PyTorch's print() shows, but for "torch." before a dtype."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_norm as tn

torch = pytest.importorskip("torch", reason="comparisons need PyTorch: pip install 'tinygrad_norm[compare]'")
pytestmark = pytest.mark.skipif(tn.get_backend() != "numpy", reason="PyTorch computes on the host")
LONG = [(1000,), (1001,), (40, 40), (3, 500), (500, 3), (12, 12, 12)]
FEW = [[], [0.0], [-0.0, 1.5], [1e8], [1e9], [1.0, 1e3], [1.0, 2e3], [0.1, 1e3], [1e-4], [9e-5], [np.inf, 1.0], [np.nan]]


@pytest.mark.parametrize("values", FEW, ids=str)
def test_few_numbers(values) -> None:
    array = np.array(values, "float32")
    assert repr(tn.tensor(array)) == repr(torch.tensor(array))


@pytest.mark.parametrize("seed", range(60))
def test_any_shape(seed) -> None:
    rng = np.random.default_rng(seed)
    shape = LONG[seed // 10] if seed % 10 == 0 else tuple(rng.integers(0, 6, rng.integers(0, 5)))
    values = rng.standard_normal(shape) * 10.0 ** rng.integers(-3, 5, size=shape)
    odd = rng.random(shape) < 0.2
    kinds = [values, np.round(values), np.where(odd, 0, values), np.where(odd, np.nan, np.where(values > 9, np.inf, values))]
    values = kinds[seed % 4]
    array = np.nan_to_num(values, posinf=0).astype("int64") if seed % 7 == 0 else np.asarray(values, "float32")
    array = array > 0 if seed % 11 == 5 else array
    expected = torch.tensor(array)
    if expected.is_floating_point() and seed % 3 == 0:
        expected.requires_grad_()
    found = tn.tensor(array).requires_grad_(expected.requires_grad)
    assert repr(found) == repr(expected).replace("torch.", "")
