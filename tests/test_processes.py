"""Threads, processes, interruptions and long runs: nothing is lost, nothing leaks, and the bits stay the same."""

from __future__ import annotations

import gc
import hashlib
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from collections import Counter

import numpy as np
import pytest
from helpers import close, constant, host, leaf, untraced

import tinygrad_norm as tn
from tinygrad_norm import nn, optim


def small_net() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(27, 8), nn.LayerNorm(8), nn.Dropout(0.2), nn.Linear(8, 3)),
    )


def train(steps: int = 5) -> str:
    """A hash of the parameters after a few steps from seed 0."""
    tn.manual_seed(0)
    net = small_net()
    optimizer = optim.Adam(net.parameters(), lr=0.01)
    x, y = tn.randn(8, 1, 8, 8), tn.randint(0, 3, (8,))
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
    return hash_of(net)


def hash_of(net: nn.Module) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(host(v)).tobytes() for v in net.state_dict().values())).hexdigest()


def trained_further(pickled: bytes) -> str:
    """What a spawned process does with a module that was sent to it."""
    net = pickle.loads(pickled)
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    net(tn.ones(2, 1, 8, 8)).sum().backward()
    optimizer.step()
    return hash_of(net)


# ---- threads ------------------------------------------------------------------------------


def in_threads(count: int, run) -> None:
    """Call run(k) in so many threads at once; an error in one is the test's."""
    errors: list[BaseException] = []
    barrier = threading.Barrier(count)

    def checked(k: int) -> None:
        try:
            barrier.wait()
            run(k)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=checked, args=(k,)) for k in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_grad_mode_backend_and_generators_belong_to_their_thread() -> None:
    def run(k: int) -> None:
        generator = tn.Generator().manual_seed(k)
        for _ in range(200):
            with tn.no_grad() if k % 2 else tn.enable_grad(), tn.backend("strict" if k % 4 < 2 else "numpy"):
                x = tn.ones(2, requires_grad=True) * 2
                assert x.requires_grad == (k % 2 == 0)
                assert tn.get_backend() == ("strict" if k % 4 < 2 else "numpy")
            drawn = generator.uniform((2,))
        expected = tn.Generator().manual_seed(k)
        for _ in range(200):
            last = expected.uniform((2,))
        np.testing.assert_array_equal(drawn, last)

    before = tn.get_backend()
    in_threads(8, run)
    assert tn.is_grad_enabled()
    assert tn.get_backend() == before


def test_gradients_that_meet_in_one_leaf_are_all_counted() -> None:
    w = leaf(np.ones(1000))

    def run(k: int) -> None:
        for _ in range(50):
            (w * float(k + 1)).sum().backward()

    in_threads(8, run)
    close(w.grad, np.full(1000, 50.0 * sum(range(1, 9))))


def test_several_threads_walk_graphs_with_a_common_part() -> None:
    w = leaf(np.ones(10))
    common = (w * 3).exp().log()
    rows = [common * float(k) for k in range(1, 9)]
    in_threads(8, lambda k: rows[k].sum().backward(retain_graph=True))
    close(w.grad, np.full(10, 3.0 * 36), 1e-9)


# ---- processes ----------------------------------------------------------------------------


@pytest.mark.skipif(tn.get_backend() == "cupy", reason="a GPU is not used from a forked process")
def test_a_spawned_process_trains_a_pickled_module_to_the_same_bits() -> None:
    tn.manual_seed(0)
    with tn.backend("numpy"):
        net = small_net()
    net[7].p = 0.0
    pickled = pickle.dumps(net)
    with tn.backend("numpy"), multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.apply(trained_further, (pickled,))
    with tn.backend("numpy"):
        assert trained_further(pickled) == there


def test_the_bits_do_not_depend_on_the_hash_seed_or_the_process() -> None:
    program = "import sys; sys.path[:0] = sys.argv[1:]; import test_processes; print(test_processes.train())"
    hashes = set()
    for seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "OPENBLAS_NUM_THREADS": "1"}
        run = subprocess.run(
            [sys.executable, "-c", program, *sys.path], env=environment, capture_output=True, text=True, check=True
        )
        hashes.add(run.stdout)
    assert len(hashes) == 1


INTERRUPTED = """
import random, signal, tinygrad_norm as tn
from test_processes import small_net
from tinygrad_norm import data, nn, optim

signal.signal(signal.SIGALRM, signal.default_int_handler)
tn.manual_seed(0)
net = small_net()
optimizer = optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
loader = data.DataLoader(data.TensorDataset(tn.randn(32, 1, 8, 8), tn.randint(0, 3, (32,))), batch_size=8, shuffle=True)
moments, interrupted = random.Random(0), 0
for _ in range(200):
    try:  # again and again: an interruption inside of a destructor is printed by Python, and lost
        signal.setitimer(signal.ITIMER_REAL, moments.uniform(0.0005, 0.02), 2)
        while True:
            for x, y in loader:
                optimizer.zero_grad()
                nn.functional.cross_entropy(net(x), y).backward()
                optimizer.step()
                with tn.no_grad():
                    net.eval()(x)
                net.train()
    except KeyboardInterrupt:
        signal.setitimer(signal.ITIMER_REAL, 0)
        interrupted += 1
    assert tn.is_grad_enabled(), "grad mode was left off"
    assert tn.get_backend() == "numpy"
    net.train()
    optimizer.zero_grad()
    nn.functional.cross_entropy(net(x), y).backward()
    assert all(bool(tn.isfinite(p.grad).all()) for p in net.parameters())
    optimizer.step()
assert interrupted == 200
print("usable", bool(tn.isfinite(net(x)).all()))
"""


def test_ctrl_c_at_200_moments_of_training_leaves_a_usable_process() -> None:
    program = "import sys; sys.path[:0] = sys.argv[1:]\n" + INTERRUPTED
    run = subprocess.run(
        [sys.executable, "-c", program, *sys.path],
        env={**untraced(), "TINYGRAD_NORM_BACKEND": "numpy"}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert run.stdout == "usable True\n", run.stderr


@pytest.mark.parametrize("moment", ["call", "line", "return"])
@pytest.mark.parametrize(
    "inner", [tn.no_grad, tn.enable_grad, lambda: tn.set_grad_enabled(False), tn.inference_mode, tn.autograd.detect_anomaly]
)
def test_ctrl_c_at_the_end_of_a_block_leaves_the_mode_as_it_was(moment, inner) -> None:
    def interrupt(frame, event, arg):
        if frame.f_code.co_name == "__exit__" and event == moment:
            sys.settrace(None)
            raise KeyboardInterrupt
        return interrupt

    def run() -> None:
        with inner():
            tn.is_grad_enabled()

    before = sys.gettrace()
    with tn.enable_grad():
        sys.settrace(interrupt)
        try:
            run()
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        assert tn.is_grad_enabled()


# ---- long runs ----------------------------------------------------------------------------


def resident() -> int:
    """Bytes of memory that the process holds now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource_page()


def resource_page() -> int:
    return os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads /proc")
def test_memory_is_flat_over_20000_steps() -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1)).to(tn.get_backend())
    optimizer = optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)
    x = constant(np.random.default_rng(0).normal(size=(4, 4)), "float32")
    running, window = constant(np.zeros(4), "float32"), constant(np.zeros((2, 4)), "float32")

    def steps(count: int) -> None:
        nonlocal running, window
        for _ in range(count):
            optimizer.zero_grad()
            loss = net(x).pow(2).mean()
            loss.backward()
            optimizer.step()
            running = (0.9 * running + x[0]).detach()
            window[0] = running
            window = window.view(4, 2).view(2, 4)  # a view of a view of a view ...

    steps(2000)
    gc.collect()
    before = resident()
    steps(18000 if tn.get_backend() == "numpy" else 2000)
    gc.collect()
    assert resident() - before < 3 * 2**20


def test_a_chain_of_views_keeps_no_tensor_alive() -> None:
    import weakref

    x = leaf(np.zeros(6)).detach()
    refs = []
    for _ in range(50):
        x = x.view(2, 3).view(6)
        refs.append(weakref.ref(x))
    assert sum(r() is not None for r in refs) <= 2


def test_a_long_chain_of_views_is_edited_and_differentiated_like_a_short_one() -> None:
    w = leaf(np.arange(6.0))
    base = w * 1
    part = base
    for _ in range(120):
        part = part.view(2, 3).T.T.view(6)
    part = part[1:3]
    part.mul_(10)
    close(base, [0.0, 10.0, 20.0, 3.0, 4.0, 5.0])
    (base * part.sum()).sum().backward()
    close(w.grad, np.array([1.0, 10.0, 10.0, 1.0, 1.0, 1.0]) * 30 + np.array([0.0, 10.0, 10.0, 0.0, 0.0, 0.0]) * 42)
    x = leaf(np.arange(6.0)) * 1
    y = x
    for _ in range(120):
        y = y.view(6)
    x.mul_(3)
    (g,) = tn.grad((y * y).sum(), y)
    close(g, 2 * 3 * np.arange(6.0))


def test_training_leaves_no_cycles() -> None:
    train(1)
    while gc.collect():  # what other tests have left may take several
        pass
    gc.disable()
    try:
        train(3)
        net = small_net().to(tn.get_backend())
        x = constant(np.ones((2, 1, 8, 8)), "float32")
        (g,) = tn.grad(net(x).pow(2).sum(), [net[0].weight], create_graph=True)
        g.pow(2).sum().backward()
        del net, g
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left = Counter(type(found).__name__ for found in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert not left  # a module and its parameters may be one; graphs may not


FORKS = """
import os, sys, threading, time, warnings
import tinygrad_norm as tn
from tinygrad_norm import nn

warnings.simplefilter("ignore")
big = [nn.Parameter(tn.zeros(300_000)) for _ in range(4)]
stop = []


def train():
    while not stop:
        sum((p * 2).sum() for p in big).backward()


def alive():
    w = nn.Parameter(tn.ones(3))
    (w * 2).sum().backward()
    tn.randn(60000).sigmoid().sum()
    nn.functional.cross_entropy(tn.ones(9000, 10), tn.zeros(9000).long())


threads = [threading.Thread(target=train) for _ in range(2)]
for thread in threads:
    thread.start()
time.sleep(0.3)
for _ in range(12):
    time.sleep(0.013)
    child = os.fork()
    if child == 0:
        alive()
        os._exit(0)
    for _ in range(2000):
        ended, _ = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        time.sleep(0.005)
    else:
        os.kill(child, 9)
        sys.stdout.write("hung")
        os._exit(1)
stop.append(True)
"""
AFTER_THE_END = """
import atexit, threading, time
import tinygrad_norm as tn
from tinygrad_norm import nn, optim


def train(name):
    net = nn.Sequential(nn.Linear(20, 4000), nn.BatchNorm1d(4000), nn.Sigmoid(), nn.Linear(4000, 1))
    optimizer = optim.Adam(net.parameters())
    for _ in range(2):
        net(tn.randn(64, 20)).square().mean().backward()
        optimizer.step()
    print("trained", name, flush=True)


def late():
    time.sleep(0.3)
    train("in a thread")


atexit.register(train, "at exit")
threading.Thread(target=late).start()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.skipif("config.getoption('--backend') != 'numpy'", reason="one backend is enough")
def test_a_process_forked_while_others_train_trains() -> None:
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=120, env=untraced())
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.skipif("config.getoption('--backend') != 'numpy'", reason="one backend is enough")
def test_training_goes_on_after_the_main_thread_has_ended() -> None:
    done = subprocess.run([sys.executable, "-c", AFTER_THE_END], capture_output=True, text=True, timeout=120, env=untraced())
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["trained at exit", "trained in a thread"], done.stderr
