"""Programs as public tutorials write them, for PyTorch: here with their import lines changed, and nothing else.

Each file in programs/ leaves a list of numbers, `losses`; with PyTorch installed they are compared with PyTorch's.
"""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import tinygrad_norm as tn

PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.py"))


def with_our_imports(text: str) -> str:
    """`import torch` becomes `import tinygrad_norm as torch`, and so on."""
    text = re.sub(r"^import torch$", "import tinygrad_norm as torch", text, flags=re.M)
    return re.sub(r"^(import|from) torch\b", r"\1 tinygrad_norm", text, flags=re.M)


def numbers(text: str, name: str) -> list[float]:
    """Run a program; its losses."""
    space: dict = {"__name__": name}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a .pth name, lazy modules
        exec(compile(text, name, "exec"), space)
    return space["losses"]


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda p: p.stem)
def test_a_program_gives_pytorchs_numbers(path: Path) -> None:
    if not os.environ.get("REQUIRE_TORCH"):
        pytest.importorskip("torch", reason="the numbers are PyTorch's: pip install 'tinygrad_norm[compare]'")
    text = path.read_text()
    theirs = numbers(text, path.name)
    with tn.backend("numpy"):
        ours = numbers(with_our_imports(text), path.name)
    assert len(theirs) > 3
    np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda p: p.stem)
def test_a_program_runs(path: Path) -> None:
    with tn.backend("numpy"):
        assert np.isfinite(numbers(with_our_imports(path.read_text()), path.name)).all()
