"""Stand-ins compute what the textbook functions compute, and get into nobody's way."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from helpers import close, untraced

import tinygrad_norm as tn
from tinygrad_norm import fast, nn, optim
from tinygrad_norm.fast import threads
from tinygrad_norm.nn.functional.conv import Geometry
from tinygrad_norm.nn.functional.window import Windows

pytestmark = pytest.mark.skipif("config.getoption('--backend') != 'numpy'", reason="stand-ins of NumPy arrays")
needs_numba = pytest.mark.skipif(
    importlib.util.find_spec("numba") is None, reason="needs Numba: pip install tinygrad_norm[fast]"
)
WHERE = {  # the textbook functions
    "ops.special": "masked",
    "sums": "total",
    "ops.unary": "relu_of sigmoid_of relu_gradient sigmoid_gradient tanh_gradient",
    "optim.sgd": "sgd_step",
    "optim.adam": "adam_step",
    "nn.functional.dropout": "keep_and_scale",
    "ops.softmax": "exponentials_of",
    "nn.functional.classification": "cross_entropy_gradient",
    "nn.functional.conv": "batch_innermost convolve convolve_weight_gradient convolve_input_gradient",
    "nn.functional.pool": "window_maximum scatter_to_maximum window_sum scatter_to_windows",
    "nn.functional.norm": "moments normalize normalize_gradients",
}
TEXTBOOK = {
    name: getattr(importlib.import_module(f"tinygrad_norm.{module}"), name)
    for module, names in WHERE.items()
    for name in names.split()
}


class Arrays:
    """Random arrays of one dtype, in some order in memory, with some values that are special."""

    def __init__(self, dtype: str, order: str, special: bool) -> None:
        self.random, self.dtype, self.order, self.special = np.random.default_rng(0), dtype, order, special

    def __call__(self, *shape: int, positive: bool = False) -> np.ndarray:
        x = self.random.normal(1.0, 2.0, shape)
        x = (abs(x) + 0.1 if positive else x).astype(self.dtype)
        if self.special and x.size > 3 and not positive:
            x.reshape(-1)[self.random.integers(0, x.size, 3)] = [np.nan, np.inf, -np.inf]
        if self.order == "innermost" and x.ndim > 1:  # the first dimension fastest
            x = np.ascontiguousarray(np.moveaxis(x, 0, -1))
            return np.moveaxis(x, -1, 0)
        if self.order == "gaps":
            wide = np.repeat(x, 2, axis=-1)
            return wide[..., ::2]
        return x


def windows(kernel: int, stride: int, size: int, before: int = 0, dilation: int = 1) -> Windows:
    return Windows(size, kernel, stride, before, before, dilation)


def cases(name: str, new: Arrays, n: int) -> Iterator[tuple]:
    """Arguments of a textbook function; n is the size of the batch, which may be 0."""
    image = (n, 4, 6, 5)
    rows, columns = windows(3, 2, 6, 1), windows(2, 1, 5)
    if name in ("masked", "relu_gradient", "sigmoid_gradient", "tanh_gradient"):
        x = new(*image)
        yield x, (x > 1 if name == "masked" else np.maximum(new(*image), 0))
    elif name == "total":
        for axes in ((0,), (1, 3), (0, 1, 2, 3)):
            yield new(*image), axes, True
        yield new(100 * n, 3), (0,), False
    elif name == "sgd_step":
        for momentum, keep, decay, nesterov, maximize in ((0.9, 1, 0.1, False, False), (0.9, 0.5, 0.0, True, True)):
            yield new(n, 7), new(n, 7), new(n, 7), 0.1, momentum, keep, decay, nesterov, maximize
        yield new(n, 7), new(n, 7), None, 0.1, 0.0, 1, 0.1, False, False
        yield new(n, 7), new(n, 7), None, 0.1, 0.0, 1, 0.0, False, True
    elif name == "adam_step":
        for largest, decay, shrink, maximize in ((False, 0.1, 1.0, True), (False, 0.0, 0.9, False), (True, 0.0, 1.0, False)):
            v = new(n, 7, positive=True)
            yield (
                new(n, 7),
                new(n, 7),
                new(n, 7),
                v,
                v + 1 if largest else None,
                0.1,
                0.5,
                0.9,
                0.99,
                1e-8,
                decay,
                shrink,
                maximize,
            )
    elif name == "keep_and_scale":
        for p in (0.3, 1.0):
            yield new(*image), new.random.random(image) > 0.5, p
    elif name in ("relu_of", "sigmoid_of"):
        yield (30 * new(*image),)
    elif name == "exponentials_of":
        yield new(n, 9), 1
        yield new(*image), 3
        yield new(*image), 1
    elif name == "cross_entropy_gradient":
        x = new(n, 9, positive=True)
        yield x, x.sum(axis=1, keepdims=True), np.arange(n) % 9, new(n, 1)
    elif name.startswith(("convolve", "batch")):
        for groups in (1, 2):
            geometry = Geometry(rows, columns, groups)
            x, weight, g = new(*image), new(6, 4 // groups, 3, 2), new(n, 6, rows.count, columns.count)
            yield {
                "batch_innermost": (x,),
                "convolve": (x, weight, geometry),
                "convolve_weight_gradient": (x, g, geometry),
                "convolve_input_gradient": (g, weight, geometry),
            }[name]
    elif name.startswith(("window", "scatter")):
        for sides in ((rows, columns), (windows(2, 2, 6), windows(2, 2, 5)), (windows(2, 1, 6, 1, 2), columns)):
            x, g = new(*image), new(n, 4, *(w.count for w in sides))
            out = TEXTBOOK["window_maximum"].textbook(x, *sides)
            yield {"scatter_to_maximum": (g, x, out, *sides), "scatter_to_windows": (g, *sides)}.get(name, (x, *sides))
    else:
        for axes, affine in (
            ((0, 2, 3), (1, 4, 1, 1)),
            ((1, 2, 3), (1, *image[1:])),
            ((2, 3), (1, 4, 1, 1)),
            ((1, 3), (1, 4, 1, 5)),
        ):
            x, weight = new(*image), new(*affine, positive=True)
            mean, variance = TEXTBOOK["moments"].textbook(x, axes)
            if name == "normalize":
                yield x, weight, None, axes, 1e-5
            yield {
                "moments": (x, axes),
                "normalize": (x, weight, weight, axes, 1e-5),
                "normalize_gradients": (new(*image), x, weight, mean, variance, axes, 1e-5, (True, True, True)),
            }[name]


def outcome(function: Callable, arguments: tuple) -> list:
    """What a function returns, and what it leaves in the arrays it was given."""
    mine = [a.copy(order="K") if isinstance(a, np.ndarray) else a for a in arguments]
    with np.errstate(all="ignore"):
        result = function(*mine)
    results = result if isinstance(result, tuple) else (result,)
    return [v for v in (*results, *mine) if isinstance(v, np.ndarray)]


def test_every_stand_in_is_tried() -> None:
    assert set(fast.STAND_INS) == set(TEXTBOOK)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("special", [False, True], ids=["finite", "nan and inf"])
@pytest.mark.parametrize("order", ["usual", "innermost", "gaps"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("name", TEXTBOOK)
@pytest.mark.parametrize(
    ("level", "shared"),
    [("numpy", False), pytest.param("numba", False, marks=needs_numba), pytest.param("numba", True, marks=needs_numba)],
    ids=["numpy", "numba", "numba, rows shared by threads"],
)
def test_a_stand_in_is_its_textbook_function(level, name, dtype, order, special, shared, monkeypatch) -> None:
    if shared:
        monkeypatch.setattr(importlib.import_module("tinygrad_norm.fast.norm"), "_LEAST", 1)
        monkeypatch.setattr(threads, "_count", 3)
    tolerance = {"float32": 2e-5, "float64": 1e-11, "float16": 5e-3}[dtype]
    for n in (3, 9, 0):
        for arguments in cases(name, Arrays(dtype, order, special), n):
            if n == 0 and name in ("window_maximum", "scatter_to_maximum", "moments", "normalize", "normalize_gradients"):
                continue  # nothing of an empty batch is asked for
            with fast.level(level, share=0):
                found = outcome(TEXTBOOK[name], arguments)
            for a, b in zip(found, outcome(TEXTBOOK[name].textbook, arguments), strict=True):
                assert a.dtype == b.dtype
                assert a.shape == b.shape
                if special and name == "normalize_gradients":  # inf - inf or inf: that depends on the order of terms
                    a, b = (np.where(np.isfinite(v), v, np.nan) for v in (a, b))
                np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@needs_numba
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_number_of_threads_changes_rounding_at_most(threads, monkeypatch) -> None:
    before = tn.get_num_threads()
    new = Arrays("float64", "usual", False)
    x, g, weight = new(8, 6, 5, 4), new(8, 6, 5, 4), new(1, 6, 5, 4)
    for module in ("norm", "steps", "pool", "loss"):
        monkeypatch.setattr(importlib.import_module(f"tinygrad_norm.fast.{module}"), "_LEAST", 1)
    tn.set_num_threads(threads)
    try:
        assert tn.get_num_threads() == threads
        for axes in ((0, 2, 3), (1, 2, 3), (2, 3)):
            with fast.level("numba", share=0):
                y, mean, variance = TEXTBOOK["normalize"](x, weight, weight, axes, 1e-5)
                found = TEXTBOOK["normalize_gradients"](g, x, weight, mean, variance, axes, 1e-5, (True, True, True))
            close(y, TEXTBOOK["normalize"].textbook(x, weight, weight, axes, 1e-5)[0], 1e-11)
            expected = TEXTBOOK["normalize_gradients"].textbook(g, x, weight, mean, variance, axes, 1e-5, (True, True, True))
            for a, b in zip(found, expected):
                close(a, b, 1e-11)
    finally:
        tn.set_num_threads(before)


@needs_numba
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_convolution_in_parts_has_the_bits_of_the_whole(threads, monkeypatch) -> None:
    monkeypatch.setattr(fast, "_LEAST_PRODUCT", 1)
    before, new, columns = tn.get_num_threads(), Arrays("float32", "usual", False), windows(2, 1, 5, 1)
    tn.set_num_threads(threads)
    try:
        for rows in (windows(3, 1, 6), windows(3, 2, 6, 1), windows(1, 1, 6, 4), windows(2, 3, 6, 5, 2)):
            for groups in (1, 2):
                geometry = Geometry(rows, columns, groups)
                x, weight, g = new(3, 4, 6, 5), new(6, 4 // groups, rows.kernel, 2), new(3, 6, rows.count, columns.count)
                for name, arguments in (
                    ("convolve", (x, weight, geometry)),
                    ("convolve_weight_gradient", (x, g, geometry)),
                    ("convolve_input_gradient", (g, weight, geometry)),
                ):
                    with fast.level("numba"):
                        found = TEXTBOOK[name](*arguments)
                    with fast.level("numpy"):
                        np.testing.assert_array_equal(found, TEXTBOOK[name](*arguments))
                    close(found, TEXTBOOK[name].textbook(*arguments), 2e-5)
    finally:
        tn.set_num_threads(before)


def test_numbers_of_threads_that_make_no_sense() -> None:
    for wrong, kind in ((0, RuntimeError), (-1, RuntimeError), ("2", TypeError), (True, TypeError)):
        with pytest.raises(kind, match="set_num_threads expects"):
            tn.set_num_threads(wrong)


# ---- training with them ---------------------------------------------------------------------


def train(seed: int, steps: int = 4) -> list[np.ndarray]:
    """The parameters of a small net with every norm after a few steps; its arrays are large enough for loops."""
    generator = tn.Generator().manual_seed(seed)
    net = nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.GroupNorm(2, 4), nn.Tanh(), nn.AvgPool2d(2)),
        *(nn.Flatten(), nn.Linear(64, 32), nn.LayerNorm(32), nn.Sigmoid(), nn.Linear(32, 10)),
    )
    with tn.no_grad():
        for p in net.parameters():
            p.copy_(tn.randn(*p.shape, generator=generator) * 0.3)
    optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    x = tn.randn(64, 1, 20, 20, generator=generator)
    y = tn.randint(0, 10, (64,), generator=generator)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
    return [p.detach().numpy().copy() for p in net.parameters()]


def test_eight_threads_train_as_each_alone() -> None:
    alone = [train(seed) for seed in range(8)]
    together: list[Any] = [None] * 8

    def run(seed: int) -> None:
        together[seed] = train(seed)

    workers = [threading.Thread(target=run, args=(seed,)) for seed in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for one, other in zip(alone, together):
        for a, b in zip(one, other):
            np.testing.assert_array_equal(a, b)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_process_that_was_forked_after_use_goes_on_alike() -> None:
    expected = train(0)
    child = os.fork()
    if not child:
        try:
            same = all((a == b).all() for a, b in zip(train(0), expected))
        finally:
            os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


INTERRUPTED = """
import signal, sys, tinygrad_norm as tn
from tinygrad_norm import nn
net, x = nn.Sequential(nn.BatchNorm2d(64), nn.GroupNorm(4, 64)), tn.randn(64, 64, 32, 32)
net(x)
interrupted = 0
for i in range(20):
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001 + 0.0013 * i)
        for _ in range(1000):
            net(x).sum().backward()
    except KeyboardInterrupt:
        interrupted += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    assert tn.is_grad_enabled() and tn.get_backend() == "numpy"
assert bool(tn.isfinite(net(x)).all())
assert interrupted >= 17, interrupted  # Python prints and forgets those inside of a destructor, of the compiler's say
"""


def test_ctrl_c_inside_of_loops_leaves_a_process_that_works() -> None:
    program = "import signal\nsignal.signal(signal.SIGALRM, signal.default_int_handler)\n" + INTERRUPTED
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120, env=untraced())


@needs_numba
def test_the_loops_of_the_norms_stay_within_their_arrays() -> None:
    norm = importlib.import_module("tinygrad_norm.fast.norm")
    x = np.zeros((3, 4, 6, 5), np.float32)
    for axes, affine in (
        ((0, 2, 3), (1, 4, 1, 1)),
        ((1, 2, 3), (1, 4, 6, 5)),
        ((2, 3), (1, 4, 1, 1)),
        ((1, 2, 3), (1, 1, 1, 1)),
    ):
        layout = norm.layout_of(x.shape, x.strides, axes, affine)
        width = layout.lines[1] if layout.runs.along_weights else 1
        for weight in (np.ones(affine, np.float32), None)[: 1 + (affine == (1, 1, 1, 1))]:
            _, t = norm._prepared(x, norm.as_lines(x, layout), weight, None, layout, 1e-5)
            assert layout.runs.weights.max() + width == t.weight.size == t.bias.size


RUNS = {  # shape, the order in memory, what the moments run over, the weight's shape
    **{f"batch of {n}": ((n, 7), (0, 1), (0,), (1, 7)) for n in (2, 63, 64, 65, 97, 128, 6400)},
    "batch, innermost": ((6, 4, 5, 3), (1, 2, 3, 0), (0, 2, 3), (1, 4, 1, 1)),
    "batch, channels last": ((6, 4, 5, 3), (0, 2, 3, 1), (0, 2, 3), (1, 4, 1, 1)),
    "layer, innermost": ((6, 4, 5, 3), (1, 2, 3, 0), (1, 2, 3), (1, 4, 5, 3)),
    "instance, innermost": ((6, 4, 15, 13), (1, 2, 3, 0), (2, 3), (1, 4, 1, 1)),
    "instance, channels last": ((6, 4, 15, 13), (0, 2, 3, 1), (2, 3), (1, 4, 1, 1)),
    "group, innermost": ((6, 2, 3, 15, 13), (1, 2, 3, 4, 0), (2, 3, 4), (1, 2, 3, 1, 1)),
    "group, channels last": ((6, 2, 3, 15, 13), (0, 3, 4, 1, 2), (2, 3, 4), (1, 2, 3, 1, 1)),
    "group of one channel": ((70, 5, 1), (0, 1, 2), (2,), (1, 5, 1)),
}


@needs_numba
@pytest.mark.parametrize("shared", [False, True], ids=["alone", "runs shared by threads"])
@pytest.mark.parametrize(("mean", "first"), [(0.5, None), (3e5, None), (0.5, 1e4)])
@pytest.mark.parametrize("name", RUNS)
def test_runs_of_rows_in_every_order_of_memory(name, mean, first, shared, monkeypatch) -> None:
    if shared:
        monkeypatch.setattr(importlib.import_module("tinygrad_norm.fast.norm"), "_LEAST", 1)
        monkeypatch.setattr(threads, "_count", 3)
    shape, order, axes, affine = RUNS[name]
    random = np.random.default_rng(0)
    back = sorted(range(len(order)), key=order.__getitem__)
    x, g = (random.normal(m, 1, [shape[i] for i in order]).astype(np.float32).transpose(back) for m in (mean, 0.0))
    weight, bias = (random.normal(1, 1, affine).astype(np.float32) for _ in range(2))
    if first is not None:  # far from all others
        x[0] = first
    with fast.level("numba", share=0):
        found = TEXTBOOK["normalize"](x, weight, bias, axes, 1e-5)
        found += TEXTBOOK["normalize_gradients"](g, x, weight, *found[1:], axes, 1e-5, (True, True, True))
    wide = [v.astype(np.float64) for v in (x, g, weight, bias)]
    expected = TEXTBOOK["normalize"].textbook(wide[0], *wide[2:], axes, 1e-5)
    _, centre, variance = expected
    expected += TEXTBOOK["normalize_gradients"].textbook(
        wide[1], wide[0], wide[2], centre, variance, axes, 1e-5, (True, True, True)
    )
    terms = abs(g * weight / np.sqrt(variance + 1e-5)).max()  # of which the gradient of x is a difference
    for i, (a, b) in enumerate(zip(found, expected, strict=True)):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * (terms if i == 3 else abs(b).max()))


@needs_numba
@pytest.mark.parametrize("shape", [(16, 4, 10, 10), (64, 4), (400, 4, 30, 30)])
def test_numbers_whose_squares_are_too_large_for_float32(shape) -> None:
    x = (np.random.default_rng(0).normal(size=shape) * 2e18).astype(np.float32)
    axes = tuple(i for i in range(x.ndim) if i != 1)
    with fast.level("numba", share=0):
        y, mean, variance = TEXTBOOK["normalize"](x, None, None, axes, 1e-5)
    for found, expected in zip((y, mean, variance), TEXTBOOK["normalize"].textbook(x, None, None, axes, 1e-5)):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@needs_numba
def test_arrays_that_are_read_only_need_no_loops_of_their_own() -> None:
    loops = [importlib.import_module("tinygrad_norm.fast.norm")._normalize_blocks]
    loops.append(importlib.import_module("tinygrad_norm.fast.norm_gradients")._gradients_of_blocks)

    def run(writeable: bool, eps: Any) -> None:
        x, g, weight = (np.ones(shape, np.float32) for shape in ((2, 3, 4), (2, 3, 4), (1, 3, 1)))
        for a in (x, g, weight):
            a.flags.writeable = writeable
        with fast.level("numba", share=0):
            _, mean, variance = TEXTBOOK["normalize"](x, weight, weight, (1, 2), eps)
            TEXTBOOK["normalize_gradients"](g, x, weight, mean, variance, (1, 2), eps, (True, True, True))

    run(True, 1e-5)
    known = [len(loop.signatures) for loop in loops]
    run(False, np.float32(1e-5))
    run(True, 1)
    assert [len(loop.signatures) for loop in loops] == known


@needs_numba
def test_the_exponential_of_the_loops_is_right_to_one_ulp_or_so() -> None:
    exponentials = importlib.import_module("tinygrad_norm.fast.loss").exponentials_of
    bits = np.arange(0x80000000, 0xC2D00000, 997, dtype=np.uint32)  # float32 from -0.0 to -104, and a few below
    x = np.concatenate([bits.view(np.float32), np.linspace(-104, 0, 100_001, dtype=np.float32), np.float32([-1e30, -np.inf])])
    rows = np.zeros((1, x.size + 1), np.float32)  # the largest is 0
    rows[0, 1:] = x
    found, exact = exponentials(rows, 1)[1][0, 1:], np.exp(x.astype(np.float64))
    assert (abs(found - exact) <= 1.1 * np.spacing(exact.astype(np.float32))).all()


@needs_numba
def test_a_loop_is_compiled_where_ctrl_c_does_not_come_up() -> None:
    from numba.core import event

    from tinygrad_norm.fast.compiled import compiled

    class Listener(event.Listener):
        threads: list[threading.Thread] = []

        def on_start(self, event: Any) -> None:
            self.threads.append(threading.current_thread())

        def on_end(self, event: Any) -> None:
            pass

    made: dict[str, Any] = {}  # from no file, beside which the machine code could be kept
    exec("def loop(x, part, lo, hi):\n    for i in range(lo, hi):\n        x[i] += 1\n", made)
    found = compiled(made["loop"])
    with event.install_listener("numba:compile", listener := Listener()):
        for dtype in ("float32", "float64"):
            for x in (np.zeros(10, dtype), np.zeros((10, 2), dtype)[:, 0]):  # other types of arguments
                for _ in range(2):
                    threads.parallel_for(found, 10, 10, x)
                assert (x == 2).all()
    assert len(listener.threads) >= 4
    assert threading.main_thread() not in listener.threads


@needs_numba
def test_numba_comes_with_the_first_large_array_only() -> None:
    program = (
        "import sys, tinygrad_norm as tn\n"
        "from tinygrad_norm import nn\n"
        "net = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.ReLU())\n"
        "net(tn.ones(2, 4)).sum().backward()\n"
        "assert 'numba' not in sys.modules\n"
        "nn.LayerNorm(512)(tn.randn(16, 512))\n"
        "assert 'numba' in sys.modules\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "TINYGRAD_NORM_FAST"}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)


def test_a_numba_that_cannot_be_imported_is_named_and_done_without(tmp_path) -> None:
    (tmp_path / "numba.py").write_text("raise ImportError('Numba needs NumPy 1.0 or less')")
    program = "import tinygrad_norm as tn\nprint(tn.nn.LayerNorm(512)(tn.randn(16, 512)).std().item())"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]), "TINYGRAD_NORM_FAST": "numba"}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert abs(float(run.stdout) - 1) < 1e-3
    assert "Numba is installed, but cannot be used: Numba needs NumPy 1.0 or less" in run.stderr


def test_an_unknown_level_is_refused() -> None:
    run = subprocess.run(
        [sys.executable, "-c", "import tinygrad_norm"],
        env={**os.environ, "TINYGRAD_NORM_FAST": "yes"}, capture_output=True, text=True,
    )  # fmt: skip
    assert "TINYGRAD_NORM_FAST=yes: expected one of off, numpy, numba" in run.stderr


@needs_numba
def test_the_number_of_threads_may_change_while_others_train() -> None:
    before, stop, wrong = tn.get_num_threads(), threading.Event(), []
    x = tn.randn(64, 8, 32, 32)
    expected = nn.functional.group_norm(x, 2).numpy()

    def run() -> None:
        while not stop.is_set():
            leaf = x.clone().requires_grad_()
            out = nn.functional.batch_norm(nn.functional.group_norm(leaf, 2), None, None, training=True)
            out.sum().backward()
            if not np.allclose(nn.functional.group_norm(x, 2).numpy(), expected, atol=1e-5):
                wrong.append(1)

    workers = [threading.Thread(target=run) for _ in range(3)]
    for worker in workers:
        worker.start()
    try:
        for i in range(200):
            tn.set_num_threads(1 + i % 4)
    finally:
        stop.set()
        for worker in workers:
            worker.join()
        tn.set_num_threads(before)
    assert not wrong
