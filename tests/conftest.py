"""The suite runs on any backend: `pytest --backend numpy|strict|cupy`."""

from __future__ import annotations

import importlib.util
import os

import hypothesis
import pytest
import strict  # noqa: F401  (registers the backend of that name)

import tinygrad_norm as tn
from tinygrad_norm import fast

for _name, _examples in (("few", 4), ("dev", 10), ("ci", 10), ("thorough", 200)):
    hypothesis.settings.register_profile(
        _name, max_examples=_examples, deadline=None, derandomize=_name in ("few", "ci"), print_blob=True
    )
hypothesis.settings.register_profile(
    "planted", phases=[hypothesis.Phase.generate], max_examples=15, deadline=None, derandomize=True
)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """The backend to run on."""
    parser.addoption("--backend", default="numpy", help="the backend to run on: numpy, strict (a double of CuPy) or cupy")


def pytest_configure(config: pytest.Config) -> None:
    """Switch for the whole run."""
    tn.set_backend(config.getoption("--backend"))


@pytest.fixture(autouse=True)
def fresh(request: pytest.FixtureRequest):
    """Every test starts from the same seed and leaves the global state as it was."""
    tn.manual_seed(0)
    yield
    assert tn.is_grad_enabled(), "the test left gradients switched off"
    assert tn.get_backend() == request.config.getoption("--backend"), "the test left another backend"


@pytest.fixture(scope="module", params=["textbook", "arrays", "loops"])
def way(request: pytest.FixtureRequest):
    """All is done with the textbook functions, and with each of their stand-ins, which small arrays would not reach."""
    if request.config.getoption("--backend") != "numpy" and request.param == "arrays":
        pytest.skip("stand-ins of NumPy arrays; the formulas for a GPU run under 'loops'")
    if request.param == "loops" and importlib.util.find_spec("numba") is None:
        pytest.skip("Numba is not installed: pip install tinygrad_norm[fast]")
    with fast.level({"textbook": "off", "arrays": "numpy", "loops": "numba"}[request.param], share=0):
        yield
