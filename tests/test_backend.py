"""The switch, the double of CuPy, and the names that the package uses of CuPy."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import strict
from helpers import close, host, leaf

import tinygrad_norm as tn
from tinygrad_norm.backend import _load_cupy, load
from tinygrad_norm.fast import gpu

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
        lambda: strict.module.sum(x, where=x > 0),
        lambda: x.max(initial=0.0),
        lambda: strict.module.ElementwiseKernel("T a, T b", "T c", "c = a + b;", "f")(x, x > 0),
        lambda: [1, 2][strict.module.asarray(1)],
    ):
        with pytest.raises(TypeError):
            bad()
    with pytest.raises(AttributeError):
        _ = strict.module.vectorize
    assert x.sum().shape == ()
    assert isinstance(x.sum(), strict.ndarray)
    assert x[:1].base is x


OF_MODULES = ("module.py", "state.py", "tree.py", "sync_norm.py", "parallel.py")  # where `module` is a Module


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
                if isinstance(owner, ast.Name) and owner.id == "module" and path.name not in OF_MODULES:
                    found.add(node.attr)
    return found - {"__name__"}


def test_the_double_offers_what_the_package_uses() -> None:
    missing = {name for name in _names_used() if not hasattr(strict.module, name)}
    assert not missing


def test_what_the_package_uses_exists_in_cupy() -> None:
    cupy = _cupy()
    for name in _names_used() | set(strict.FUNCTIONS):
        assert hasattr(cupy, name), f"CuPy has no {name}"
    for name in [*strict.METHODS, *(f"__{o}__" for o in strict.OPERATORS), "get", "item", "tolist", "base", "T"]:
        assert hasattr(cupy.ndarray, name), f"CuPy's arrays have no {name}"
    checked = 0
    for name in strict.FUNCTIONS:
        try:
            offered = set(inspect.signature(getattr(cupy, name)).parameters)
        except ValueError:  # no function of Python's
            assert isinstance(getattr(cupy, name), cupy.ufunc)
            continue
        missing = strict.keywords_of(name) - offered
        assert not missing or "kwargs" in offered, f"cupy.{name} has no {missing}"
        checked += 1
    assert checked > 30
    assert load("numpy").array_type is np.ndarray


def test_leaves_live_where_they_were_made() -> None:
    assert leaf([1.0]).device == ("cpu" if tn.get_backend() == "numpy" else tn.get_backend())


# ---- the formulas for a GPU, and what stands around them --------------------------------------


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("SGD", {}),
        ("SGD", {"momentum": 0.9, "weight_decay": 0.1}),
        ("SGD", {"momentum": 0.9, "dampening": 0.5, "maximize": True}),
        ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
        ("Adam", {"weight_decay": 0.1}),
        ("Adam", {"amsgrad": True, "maximize": True}),
        ("Adam", {"maximize": True}),
        ("AdamW", {}),
    ],
)
def test_optimizers_take_the_same_steps_everywhere(name, settings) -> None:
    ends = []
    for where in ("numpy", "strict"):
        p = tn.tensor(np.linspace(-1, 1, 12), device=where).requires_grad_()
        optimizer = getattr(tn.optim, name)([p], lr=0.1, **settings)
        for _ in range(4):
            optimizer.zero_grad()
            (p**4).sum().backward()
            optimizer.step()
        ends.append((host(p), {k: host(v) for k, v in optimizer.state_dict()["state"].get(0, {}).items()}))
    np.testing.assert_allclose(ends[0][0], ends[1][0], rtol=1e-12)
    for key, value in ends[0][1].items():
        np.testing.assert_allclose(value, ends[1][1][key], rtol=1e-12)


def _lenet() -> tn.nn.Module:
    nn = tn.nn
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout2d(0.2)),
        *(
            nn.Conv2d(6, 16, 5, padding=2),
            nn.GroupNorm(4, 16),
            nn.Sigmoid(),
            nn.AvgPool2d(2),
            nn.InstanceNorm2d(16, affine=True),
        ),
        *(nn.Flatten(), nn.Linear(144, 30), nn.LayerNorm(30), nn.Dropout(0.3), nn.Linear(30, 10)),
    )


def _mlp() -> tn.nn.Module:
    nn = tn.nn
    return nn.Sequential(nn.Flatten(), nn.Linear(256, 8), nn.ReLU(inplace=True), nn.Linear(8, 10))


@pytest.mark.parametrize("net", [_mlp, _lenet])
@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW"])
def test_a_training_step_does_not_wait_for_the_device(net, optimizer) -> None:
    with tn.backend("strict"):
        model = net()
        steps = getattr(tn.optim, optimizer)(model.parameters(), lr=0.01)
        x, y = tn.randn(4, 1, 16, 16), tn.tensor([0, 1, 2, 3])
        for _ in range(2):
            before = strict.transfers.count
            steps.zero_grad()
            tn.nn.functional.cross_entropy(model(x), y).backward()
            steps.step()
            assert strict.transfers.count == before


def test_a_net_computes_the_same_on_both_after_saving_and_loading(tmp_path) -> None:
    with tn.backend("strict"):
        there = _lenet().double()
        there(tn.randn(4, 1, 16, 16, dtype=tn.float64))  # running moments
        tn.save(there.state_dict(), tmp_path / "net.safetensors")
    with tn.backend("numpy"):
        here = _lenet().double()
        here.load_state_dict(tn.load(tmp_path / "net.safetensors"))
        x = np.random.default_rng(0).normal(size=(4, 1, 16, 16))
        results = []
        for net, where in ((here.eval(), "numpy"), (there.eval(), "strict")):
            t = tn.tensor(x, device=where).requires_grad_()
            y = net(t)
            tn.nn.functional.cross_entropy(y, tn.tensor([0, 1, 2, 3], device=where)).backward()
            results.append([host(v) for v in (y, t.grad, *(p.grad for p in net.parameters()))])
    for one, other in zip(*results):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_a_generators_state_holds_for_the_device_too() -> None:
    generator = tn.Generator().manual_seed(3)
    generator.uniform((2,), module=strict.module)
    state = generator.get_state()
    went_on = [host(generator.uniform((3,), module=m)) for m in (np, strict.module, np)]
    other = tn.Generator()
    other.set_state(state)
    for one, two in zip(went_on, [host(other.uniform((3,), module=m)) for m in (np, strict.module, np)]):
        np.testing.assert_array_equal(one, two)


def _cupy() -> Any:
    if os.environ.get("REQUIRE_CUPY"):
        import cupy

        return cupy
    return pytest.importorskip("cupy", reason="needs CuPy, which imports without a GPU: pip install cupy-cuda13x")


def test_cupy_takes_the_formulas() -> None:
    cupy = _cupy()
    made = 0
    for found in vars(gpu).values():
        if isinstance(found, gpu.Kernel):
            kernel = cupy.ElementwiseKernel(*found.arguments)
            assert kernel.nargs == sum(len(p.split(",")) for p in found.arguments[:2])
            made += 1
        elif isinstance(found, gpu.Sum):
            cupy.ReductionKernel(*found.arguments)
            made += 1
    assert made == 10


def test_what_keeps_cupy_from_working_is_named(monkeypatch) -> None:
    class CUDARuntimeError(RuntimeError):
        pass

    def no_driver() -> int:
        raise CUDARuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient")

    runtime = SimpleNamespace(CUDARuntimeError=CUDARuntimeError, getDeviceCount=lambda: 0)
    cupy = SimpleNamespace(__version__="13.4.1", cuda=SimpleNamespace(runtime=runtime), ndarray=object)
    monkeypatch.setattr(importlib, "import_module", lambda name: cupy)
    with pytest.raises(ImportError, match=r"expected CuPy 14 or newer, not 13\.4\.1"):
        _load_cupy()
    cupy.__version__ = "14.0.0"
    with pytest.raises(RuntimeError, match="finds no GPU"):
        _load_cupy()
    runtime.getDeviceCount = no_driver
    with pytest.raises(RuntimeError, match="cannot reach a GPU: cudaErrorInsufficientDriver.*nvidia-smi"):
        _load_cupy()
    runtime.getDeviceCount = lambda: 1
    assert _load_cupy().device == "cuda"
