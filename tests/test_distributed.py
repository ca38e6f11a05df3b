"""Several processes under mpiexec train as one; who fails ends all. What is checked in each process: mpi_checks.py."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from helpers import close, host

import tinygrad_norm as tn
from tinygrad_norm import distributed, nn
from tinygrad_norm.data import DistributedSampler
from tinygrad_norm.nn import functional as F

HERE = Path(__file__).parent
MPIEXEC = shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")
with_mpi = pytest.mark.skipif(
    importlib.util.find_spec("mpi4py") is None or MPIEXEC is None,
    reason="several processes need mpi4py and mpiexec: pip install 'tinygrad_norm[mpi]'",
)
on_the_host = pytest.mark.skipif("config.getoption('--backend') != 'numpy'", reason="the processes compute with NumPy")
CHECKS = [
    line[4 : line.index("(")]
    for line in (HERE / "mpi_checks.py").read_text().partition("# ---- what holds")[2].splitlines()
    if line.startswith("def ") and not line.startswith("def shares")
]
HOLDS = [c for c in CHECKS if not c.startswith("fails")]


def run(processes: int, *program: str) -> subprocess.CompletedProcess:
    """A program in so many processes, with one thread each."""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "TINYGRAD_NORM_BACKEND": "numpy"}
    command = [str(MPIEXEC), "-n", str(processes), sys.executable, *program]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


@with_mpi
@on_the_host
@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize("check", HOLDS)
def test_holds_in_each_process(check, processes) -> None:
    done = run(processes, str(HERE / "mpi_checks.py"), check)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split("\n")[:-1]) == [f"{check} holds in process {rank}" for rank in range(processes)]


@with_mpi
@on_the_host
@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize(
    ("check", "text"),
    [
        ("fails_one", "ValueError: this one fails"),
        ("fails_leaving", "process 1 has left the program"),
        ("fails_in_another_mode", r"process \d waits in .*(SyncBatchNorm|DistributedDataParallel).* train\(\) or eval\(\)"),
        ("fails_late", "has waited 2 s in gather_objects for process 1: all have to make the same calls"),
    ],
)
def test_a_process_that_fails_or_leaves_ends_all_with_its_error(check, text, processes) -> None:
    done = run(processes, str(HERE / "mpi_checks.py"), check)
    assert done.returncode != 0
    assert re.search(text, done.stderr)


@with_mpi
@on_the_host
def test_one_process_needs_no_launcher() -> None:
    done = subprocess.run(
        [sys.executable, str(HERE / "mpi_checks.py"), "many_train_as_one"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


@with_mpi
@on_the_host
def test_all_reduce_in_one_process_is_the_identity() -> None:
    x = tn.randn(2, 3).requires_grad_()
    y = distributed.all_reduce(x)
    close(y, x)
    (g,) = tn.autograd.grad((y * 3).sum(), x)
    close(g, np.full((2, 3), 3.0, "float32"))
    assert (distributed.get_rank(), distributed.get_world_size()) == (0, 1)


@with_mpi
@on_the_host
def test_the_example_trains_under_mpiexec(tmp_path) -> None:
    done = run(2, str(HERE.parent / "examples" / "11_data_parallel.py"), "--quick", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "2 processes: " in done.stdout


# ---- what needs no MPI --------------------------------------------------------------------


def test_without_mpi4py_the_package_works_and_says_what_to_install() -> None:
    program = """
import sys
sys.modules["mpi4py"] = None
import tinygrad_norm as tn
from tinygrad_norm import distributed, nn, data
norm = nn.SyncBatchNorm(2)
norm.eval()(tn.ones(3, 2))
list(data.DistributedSampler(range(4), 2, 0))
norm.train()
for call in (lambda: norm(tn.ones(3, 2)), distributed.get_rank, lambda: distributed.DistributedDataParallel(nn.Linear(1, 1)),
             lambda: data.DistributedSampler(range(4)), lambda: distributed.all_reduce(tn.ones(1))):
    try:
        call()
    except ImportError as error:
        assert 'pip install "tinygrad_norm[mpi]"' in str(error), error
    else:
        raise AssertionError("no error")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_sync_batch_norm_has_the_keys_of_batch_norm_and_evaluates_as_it_does() -> None:
    norm, sync, x = nn.BatchNorm2d(3), nn.SyncBatchNorm(3), tn.randn(2, 3, 4, 4)
    norm(x)
    assert list(sync.state_dict()) == list(norm.state_dict())
    sync.load_state_dict(norm.state_dict())
    close(sync.eval()(x), norm.eval()(x))
    with pytest.raises(ValueError, match="expected at least 2D input"):
        sync(tn.ones(3))


class Meeting:
    """all_reduce between two threads, which stand for processes."""

    def __init__(self) -> None:
        self.barrier, self.given = threading.Barrier(2, timeout=20), {}

    def all_reduce(self, array, group=None):
        assert group == "both"
        self.given[threading.get_ident()] = array
        self.barrier.wait()
        total = sum(self.given.values())
        self.barrier.wait()
        return total


@pytest.mark.parametrize("sizes", [(3, 2), (5, 0), (1, 1)])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("constant_input", [True, False])
@pytest.mark.parametrize("backend", ["numpy", "strict"])
def test_sync_batch_norm_over_two_shares_is_batch_norm_over_both(sizes, affine, constant_input, backend, monkeypatch) -> None:
    monkeypatch.setattr(nn.sync_norm, "all_reduce", Meeting().all_reduce)
    rng = np.random.default_rng(0)
    x, g = (rng.standard_normal((sum(sizes), 2, 3)) + 5 for _ in range(2))
    weight, bias = rng.standard_normal((2, 2))

    def run(of: slice, norm) -> list:
        with tn.backend(backend):
            t, w, b = (tn.tensor(a, device=backend).requires_grad_(a is not x or not constant_input) for a in (x, weight, bias))
            mean, var = tn.zeros(2, dtype="float64"), tn.ones(2, dtype="float64")
            y = norm(t[of], mean, var, *((w, b) if affine else (None, None)))
            if y.requires_grad:
                (y * tn.tensor(g[of], device=backend)).sum().backward()
            grads = [host(p.grad)[of] if p is t else host(p.grad) for p in (t, w, b) if p.grad is not None]
            return [host(mean), host(var), host(y), *grads]

    shares = (slice(sizes[0]), slice(sizes[0], None))
    with ThreadPoolExecutor(2) as pool:
        parts = list(pool.map(lambda of: run(of, lambda *a: nn.sync_norm.sync_batch_norm(*a, 0.1, 1e-5, "both")), shares))
    whole = run(slice(None), lambda t, mean, var, w, b: F.batch_norm(t, mean, var, w, b, training=True))
    for i, (one, other, expected) in enumerate(zip(*parts, whole)):
        if i < 2:  # running mean and variance: the same in both
            close(one, expected), close(other, expected)
        else:  # rows of the batch, then sums over it
            close(np.concatenate([one, other]) if i == 2 or (i == 3 and not constant_input) else one + other, expected, 1e-10)


def test_one_value_per_channel_in_all_processes_is_too_little(monkeypatch) -> None:
    monkeypatch.setattr(nn.sync_norm, "all_reduce", lambda array, group=None: array)
    with pytest.raises(
        ValueError, match="Expected more than 1 value per channel when training, got 1 in all processes together"
    ):
        nn.sync_norm.sync_batch_norm(tn.ones(1, 2), None, None, None, None, 0.1, 1e-5, None)


def test_conversion_keeps_parameters_buffers_modes_and_what_is_no_batch_norm() -> None:
    net = nn.Sequential(
        nn.Linear(2, 3), nn.BatchNorm1d(3, eps=0.1, momentum=None), nn.ModuleList([nn.BatchNorm2d(1, affine=False)])
    )
    net[1].eval()
    parts = [*net.parameters(), *net.buffers()]
    keys = list(net.state_dict())
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(net)
    assert converted is net
    assert isinstance(net[1], nn.SyncBatchNorm)
    assert isinstance(net[2][0], nn.SyncBatchNorm)
    assert (net[1].eps, net[1].momentum, net[1].training, net[2][0].training) == (0.1, None, False, True)
    assert all(a is b for a, b in zip(parts, [*net.parameters(), *net.buffers()]))
    assert list(net.state_dict()) == keys
    assert isinstance(nn.SyncBatchNorm.convert_sync_batchnorm(nn.BatchNorm1d(2, bias=False)), nn.SyncBatchNorm)
    with pytest.raises(RuntimeError, match="call the module once"):
        nn.SyncBatchNorm.convert_sync_batchnorm(nn.LazyBatchNorm1d())


@pytest.mark.parametrize(("count", "drop_last", "length"), [(10, False, 4), (10, True, 3), (9, False, 3), (2, False, 1)])
def test_samplers_of_all_processes_are_equally_long_and_cover_the_dataset(count, drop_last, length) -> None:
    samplers = [DistributedSampler(range(count), 3, rank, drop_last=drop_last) for rank in range(3)]
    drawn = [list(s) for s in samplers]
    assert [len(d) for d in drawn] == [len(s) for s in samplers] == [length] * 3
    flat = [i for d in drawn for i in d]
    assert set(flat) == set(range(count)) if not drop_last else len(set(flat)) == 9
    for s in samplers:
        s.set_epoch(1)
    assert [list(s) for s in samplers] != drawn or count == 2
    assert list(DistributedSampler(range(4), 2, 1, shuffle=False)) == [1, 3]
    with pytest.raises(ValueError, match=r"Invalid rank 3, rank should be in the interval \[0, 2\]"):
        DistributedSampler(range(3), 3, 3)


# ---- hooks that wait for .grad ------------------------------------------------------------


def test_a_post_accumulate_hook_finds_the_whole_gradient_while_backward_goes_on() -> None:
    first, last = (tn.ones(2).requires_grad_() for _ in range(2))
    seen = []
    hidden = first * 2
    hidden.register_hook(lambda g: seen.append("hidden"))
    last.register_hook(lambda g: g * 10)
    handle = last.register_post_accumulate_grad_hook(lambda p: seen.append(host(p.grad).tolist()))
    first.register_post_accumulate_grad_hook(lambda p: seen.append(host(p.grad).tolist()))
    (last * (hidden * last)).sum().backward()
    assert seen == [[40.0, 40.0], "hidden", [2.0, 2.0]]
    handle.remove()
    (last * 1).sum().backward()
    assert host(last.grad).tolist() == [50.0, 50.0]
    assert len(seen) == 3


def test_post_accumulate_hooks_belong_to_backward_and_to_leaves() -> None:
    x, y = tn.ones(2).requires_grad_(), tn.ones(2).requires_grad_()
    seen = []
    x.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad is not None))
    tn.autograd.grad((x * y).sum(), x)
    (x * y).sum().backward(inputs=[y])
    assert seen == []
    assert x.grad is None
    x.backward(tn.ones(2))  # a leaf of its own
    (x * y).sum().backward(inputs=[x], create_graph=True)
    assert seen == [True, True]
    close(x.grad, np.full(2, 2.0, "float32"))
    with pytest.raises(RuntimeError, match="cannot be registered on non-leaf"):
        (x * 2).register_post_accumulate_grad_hook(print)
    with pytest.raises(RuntimeError, match="doesn't require gradient"):
        tn.ones(1).register_post_accumulate_grad_hook(print)


def test_a_timeout_has_to_be_positive() -> None:
    for bad in (0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="positive number of seconds"):
            distributed.set_timeout(bad)
