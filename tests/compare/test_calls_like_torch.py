"""One right call of everything that is public (bad_input.py): PyTorch returns the same."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest
from bad_input import environment, lines, run

import tinygrad_norm as tn

torch = pytest.importorskip("torch", reason="comparisons need PyTorch: pip install 'tinygrad_norm[compare]'")
pytestmark = pytest.mark.skipif(tn.get_backend() != "numpy", reason="PyTorch computes on the host")
# drawn numbers, fresh weights, memory as it was, one Tensor as a running moment and as a weight at once, settings of all
OTHERWISE = re.compile(
    r"empty|rand|normal|uniform|bernoulli|multinomial|[dD]ropout\w*\(|orthogonal|Lazy\w+\(4|nn\.(Conv|Embedding|Linear)|nn\.Sync|"
    r"F\.instance_norm|RandomSampler|random_split|shuffle=True|set_num_threads"
)


def plain(result: Any) -> list[Any]:
    """What a call returned: dtypes, shapes, values, and whether they have a history; other objects are left out."""
    if isinstance(result, (tn.Tensor, torch.Tensor)):
        found = result.detach().cpu().numpy()
        return [str(result.dtype).removeprefix("torch."), found.shape, found, result.requires_grad]
    if isinstance(result, (tuple, list)):
        return [value for part in result for value in plain(part)]
    return [result] if isinstance(result, (int, float, str, type(None))) else []


@pytest.mark.parametrize("line", [line for line in lines() if not OTHERWISE.search(line)])
def test_a_call_returns_what_pytorch_returns(line, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found, expected = (plain(run(None, line, library, environment(library))) for library in (tn, torch))
    assert len(found) == len(expected)
    for a, b in zip(found, expected):
        if isinstance(b, np.ndarray):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        else:
            assert a == (pytest.approx(b, rel=1e-5) if isinstance(b, float) else b)
