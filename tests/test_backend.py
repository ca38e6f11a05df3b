"""The switch, the double of CuPy, and the names that the package uses of CuPy."""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import strict
from helpers import close, leaf

import tinygrad_norm as tn
from tinygrad_norm.backend import load

PACKAGE = Path(tn.__file__).parent


def test_creation_follows_the_switch_and_computation_the_array() -> None:
    with tn.backend("strict"):
        assert tn.get_backend() == "strict"
        x = tn.ones(2)
    assert x.device == "strict"
    assert (x * 2 + x.exp()).device == "strict"
    assert tn.ones(2, device="strict").device == "strict"
    assert tn.zeros_like(x).device == "strict"
    assert tn.ones(2, device="cpu").to("strict").cpu().device == "cpu"


def test_the_block_is_left_as_it_was_entered_also_by_an_error() -> None:
    before = tn.get_backend()
    with pytest.raises(KeyError), tn.backend("strict"):
        raise KeyError
    assert tn.get_backend() == before


def test_a_block_in_one_thread_is_not_seen_in_another() -> None:
    seen = []
    with tn.backend("strict" if tn.get_backend() == "numpy" else "numpy"):
        thread = threading.Thread(target=lambda: seen.append(tn.get_backend()))
        thread.start()
        thread.join()
    assert seen == [tn.get_backend()]


@pytest.mark.parametrize(
    "make", [lambda a, b: a + b, lambda a, b: a @ b, lambda a, b: tn.cat([a, b]), lambda a, b: tn.where(a > 0, a, b)]
)
def test_a_mixture_names_both_and_the_remedy(make) -> None:
    a, b = tn.ones(2, 2, device="cpu"), tn.ones(2, 2, device="strict")
    with pytest.raises(RuntimeError, match=r'cpu \(numpy\) and strict \(strict\).*\.to\("cpu"\)'):
        make(a, b)


def test_gradients_flow_between_backends() -> None:
    x = tn.tensor([1.0, 2.0], device="cpu", requires_grad=True)
    y = x.to("strict")
    (y * y).sum().backward()
    assert x.grad.device == "cpu"
    close(x.grad, np.array([2, 4], "float32"))


def test_unknown_names_and_missing_packages_are_explained() -> None:
    with pytest.raises(ValueError, match="unknown backend or device 'tpu'"):
        tn.set_backend("tpu")
    with pytest.raises(ValueError, match="unknown backend or device"):
        tn.zeros(1, device="cuda:7")


def test_without_cupy_the_error_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['cupy'] = None\nimport tinygrad_norm as tn\n"
        "try:\n    tn.set_backend('cuda')\nexcept ImportError as e:\n    print(e)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "pip install 'tinygrad_norm[cuda13]'" in out


def test_the_environment_variable_is_the_default() -> None:
    code = "import tinygrad_norm as tn; print(tn.get_backend())"
    for value, expected in (("numpy", "numpy"), ("cpu", "numpy")):
        run = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"TINYGRAD_NORM_BACKEND": value, "PATH": ""},
        )
        assert run.stdout.strip() == expected


def test_the_double_is_strict() -> None:
    x = strict.module.asarray(np.ones(2))
    for bad in (
        lambda: np.asarray(x),
        lambda: x + np.ones(2),
        lambda: np.ones(2) + x,
        lambda: np.add(x, 1),
        lambda: np.concatenate([x, x]),
        lambda: strict.module.add(x, np.ones(2)),
        lambda: [1, 2][strict.module.asarray(1)],
    ):
        with pytest.raises(TypeError):
            bad()
    with pytest.raises(AttributeError):
        _ = strict.module.vectorize
    assert x.sum().shape == ()
    assert isinstance(x.sum(), strict.ndarray)
    assert x[:1].base is x


def test_a_training_step_does_not_wait_for_the_device() -> None:
    with tn.backend("strict"):
        net = tn.nn.Sequential(tn.nn.Linear(4, 8), tn.nn.ReLU(inplace=True), tn.nn.Linear(8, 3))
        optimizer = tn.optim.Adam(net.parameters())
        x, y = tn.randn(5, 4), tn.tensor([0, 1, 2, 0, 1])
        for _ in range(2):
            before = strict.transfers.count
            optimizer.zero_grad()
            tn.nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()
            assert strict.transfers.count == before


def _names_used() -> set[str]:
    """Every `xp(...).name`, `module.name` in the package, with two levels (linalg.qr)."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                owner = node.value
                if isinstance(owner, ast.Call) and getattr(owner.func, "id", "") in ("xp", "module_for"):
                    found.add(node.attr)
                if isinstance(owner, ast.Name) and owner.id == "module" and path.name not in ("module.py",):
                    found.add(node.attr)
    return found - {"__name__"}


def test_the_double_offers_what_the_package_uses() -> None:
    missing = {name for name in _names_used() if not hasattr(strict.module, name)}
    assert not missing


def test_what_the_package_uses_exists_in_cupy() -> None:
    if os.environ.get("REQUIRE_CUPY"):
        import cupy
    else:
        cupy = pytest.importorskip("cupy", reason="needs CuPy, which imports without a GPU: pip install cupy-cuda13x")
    for name in _names_used() | set(strict.FUNCTIONS):
        assert hasattr(cupy, name), f"CuPy has no {name}"
    for name in [*strict.METHODS, *(f"__{o}__" for o in strict.OPERATORS), "get", "item", "tolist", "base", "T"]:
        assert hasattr(cupy.ndarray, name), f"CuPy's arrays have no {name}"
    for name in strict.FUNCTIONS:
        ours, theirs = getattr(np, name), getattr(cupy, name)
        try:
            offered = set(inspect.signature(theirs).parameters)
            wanted = set(inspect.signature(ours).parameters)
        except ValueError:
            continue
        for argument in {"axis", "keepdims", "dtype", "out"} & wanted:
            assert argument in offered or "kwargs" in offered, f"cupy.{name} has no {argument}"
    assert load("numpy").array_type is np.ndarray


def test_leaves_live_where_they_were_made() -> None:
    assert leaf([1.0]).device == ("cpu" if tn.get_backend() == "numpy" else tn.get_backend())
