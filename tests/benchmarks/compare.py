"""Speed and memory beside PyTorch, measured in one run.

    python tests/benchmarks/compare.py [--quick] [--only NAME]

Each workload is run in turns, ours and PyTorch's at one thread and at two; what is printed are the
medians of the paired runs. A ratio above 1 means that we are faster. Memory is the peak of a whole
process that does nothing else; the time of an import is beyond that of `import numpy`.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

import tinygrad_norm as tn

try:
    import torch
except ImportError:
    sys.exit("the comparison needs PyTorch: pip install 'tinygrad_norm[compare]'")


def chain(lib) -> Callable:
    """1,000 times b * 1.001 on 10 floats, forward and backward."""
    x = lib.ones(10, requires_grad=True)

    def run() -> None:
        y = x
        for _ in range(1000):
            y = y * 1.001
        y.sum().backward()

    return run


def mlp(lib) -> Callable:
    """20 steps of SGD on the MLP 1-200-200-200-1 with 10 points."""
    nn = lib.nn
    net = nn.Sequential(
        nn.Linear(1, 200),
        nn.ReLU(True),
        nn.Linear(200, 200),
        nn.ReLU(True),
        nn.Linear(200, 200),
        nn.ReLU(True),
        nn.Linear(200, 1),
    )
    optimizer = lib.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-2)
    criterion = nn.MSELoss()
    x = lib.linspace(-1, 1, 10).unsqueeze(1)
    y = 1.5 * x

    def run() -> None:
        for _ in range(20):
            optimizer.zero_grad()
            criterion(net(x), y).backward()
            optimizer.step()

    return run


def lenet5(nn):
    """LeNet with batch norm and ReLU on (N, 3, 32, 32)."""
    return nn.Sequential(
        *(nn.Conv2d(3, 6, 5), *norm(nn, "BatchNorm2d", 6), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), *norm(nn, "BatchNorm2d", 16), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), *norm(nn, "BatchNorm1d", 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )


def lenet_d2l(nn):
    """LeNet with batch norm and sigmoid on (N, 1, 28, 28)."""
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5), *norm(nn, "BatchNorm2d", 6), nn.Sigmoid(), nn.AvgPool2d(2, 2)),
        *(nn.Conv2d(6, 16, 5), *norm(nn, "BatchNorm2d", 16), nn.Sigmoid(), nn.AvgPool2d(2, 2), nn.Flatten()),
        *(nn.Linear(256, 120), *norm(nn, "BatchNorm1d", 120), nn.Sigmoid()),
        *(nn.Linear(120, 84), *norm(nn, "BatchNorm1d", 84), nn.Sigmoid(), nn.Linear(84, 10)),
    )


def norm(nn, name: str, features: int) -> list:
    """The norm layer of that name."""
    return [getattr(nn, name)(features)] if hasattr(nn, name) else []


def training(build: Callable, shape: tuple[int, ...], lr: float = 0.1) -> Callable:
    """One training step: forward, cross-entropy, backward, SGD."""

    def make(lib) -> Callable:
        net = build(lib.nn)
        optimizer = lib.optim.SGD(net.parameters(), lr=lr)
        criterion = lib.nn.CrossEntropyLoss()
        x = lib.tensor(np.random.default_rng(0).random(shape, dtype="float32"))
        y = lib.tensor(np.random.default_rng(1).integers(0, 10, shape[0]))

        def run() -> None:
            optimizer.zero_grad()
            criterion(net(x), y).backward()
            optimizer.step()

        return run

    return make


def conv2d(shape: tuple[int, ...], outputs: int, kernel: int) -> Callable:
    """A convolution, forward and backward to input and weight."""

    def make(lib) -> Callable:
        layer = lib.nn.Conv2d(shape[1], outputs, kernel)
        x = lib.tensor(np.random.default_rng(0).random(shape, dtype="float32"), requires_grad=True)
        g = lib.ones_like(layer(x)).detach()

        def run() -> None:
            layer.zero_grad()
            x.grad = None
            layer(x).backward(g)

        return run

    return make


def layer(build: Callable, shape: tuple[int, ...], backward: bool) -> Callable:
    """A layer, forward alone (without gradients) or forward and backward."""

    def make(lib) -> Callable:
        net = build(lib.nn)
        x = lib.tensor(np.random.default_rng(0).standard_normal(shape, dtype="float32"), requires_grad=backward)
        g = lib.tensor(np.random.default_rng(1).standard_normal(shape, dtype="float32"))

        def forward() -> None:
            with lib.no_grad():
                net(x)

        def both() -> None:
            net.zero_grad()
            x.grad = None
            net(x).backward(g)

        return both if backward else forward

    return make


def norms() -> list[tuple[str, Callable, float]]:
    """Each norm at the sizes that count."""
    found = []
    for shape in ((32, 64, 32, 32), (256, 6, 24, 24)):
        c = shape[1]
        for name, build in (
            ("BatchNorm2d", lambda nn, c=c: nn.BatchNorm2d(c)),
            ("LayerNorm", lambda nn, shape=shape: nn.LayerNorm(shape[1:])),
            ("InstanceNorm2d", lambda nn, c=c: nn.InstanceNorm2d(c, affine=True)),
            ("GroupNorm", lambda nn, c=c: nn.GroupNorm(2, c)),
        ):
            found.append((name, build, shape))
    found.append(("BatchNorm1d", lambda nn: nn.BatchNorm1d(120), (256, 120)))
    found.append(("LayerNorm", lambda nn: nn.LayerNorm(768), (8, 512, 768)))
    return [
        (f"{name} {shape}, {what}", layer(build, shape, backward), 1.0)
        for name, build, shape in found
        for what, backward in (("forward", False), ("forward and backward", True))
    ]


def cross_entropy(rows: int, classes: int) -> Callable:
    """The loss of logits (rows, classes), forward and backward."""

    def make(lib) -> Callable:
        logits = lib.tensor(np.random.default_rng(0).normal(size=(rows, classes)).astype("float32"), requires_grad=True)
        labels = lib.tensor(np.random.default_rng(1).integers(0, classes, rows))

        def run() -> None:
            logits.grad = None
            lib.nn.functional.cross_entropy(logits, labels).backward()

        return run

    return make


def optimizer_step(name: str) -> Callable:
    """One step on a million parameters."""

    def make(lib) -> Callable:
        p = lib.zeros(1000, 1000, requires_grad=True)
        p.grad = lib.ones(1000, 1000)
        optimizer = getattr(lib.optim, name)([p], lr=1e-3, **({"momentum": 0.9} if name == "SGD" else {}))
        return optimizer.step

    return make


# name, workload, the least ratio to PyTorch at one thread that is asked for
WORKLOADS: list[tuple[str, Callable, float | None]] = [
    ("op chain, 1,000 ops", chain, 1.6),
    ("MLP 1-200-200-200-1, 20 steps", mlp, 1.7),
    ("LeNet with BN, batch 16 of (3, 32, 32)", training(lenet5, (16, 3, 32, 32)), 1.2),
    ("LeNet with BN, batch 64 of (3, 32, 32)", training(lenet5, (64, 3, 32, 32)), 1.2),
    ("LeNet of d2l with BN, batch 256 of (1, 28, 28)", training(lenet_d2l, (256, 1, 28, 28)), 1.2),
    *norms(),
    ("conv2d (256, 1, 28, 28), 6 of 5x5", conv2d((256, 1, 28, 28), 6, 5), None),
    ("conv2d (256, 6, 12, 12), 16 of 5x5", conv2d((256, 6, 12, 12), 16, 5), None),
    ("conv2d (32, 64, 32, 32), 64 of 3x3", conv2d((32, 64, 32, 32), 64, 3), None),
    ("cross-entropy (256, 10)", cross_entropy(256, 10), None),
    ("cross-entropy (8192, 1000)", cross_entropy(8192, 1000), None),
    ("SGD, 1,000,000 parameters", optimizer_step("SGD"), None),
    ("Adam, 1,000,000 parameters", optimizer_step("Adam"), None),
]


def seconds(function: Callable) -> float:
    """The time of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def measure(make: Callable, budget: float) -> tuple[float, float, float]:
    """Medians of ours, PyTorch at one thread, PyTorch at two; taken in turns for `budget` seconds."""
    ours, theirs = make(tn), make(torch)
    runs: list[list[float]] = [[], [], []]
    for function in (ours, theirs):
        function()
    stop = time.perf_counter() + budget
    while time.perf_counter() < stop or len(runs[0]) < 5:
        runs[0].append(seconds(ours))
        for slot, threads in ((1, 1), (2, 2)):
            torch.set_num_threads(threads)
            runs[slot].append(seconds(theirs))
    return tuple(map(statistics.median, runs))  # type: ignore[return-value]


def peak_memory(library: str) -> float:
    """Megabytes at the peak of a process that trains the MLP for 200 steps."""
    lines = f"""
import {library} as lib
nn = lib.nn
net = nn.Sequential(nn.Linear(1, 200), nn.ReLU(True), nn.Linear(200, 200), nn.ReLU(True), nn.Linear(200, 1))
optimizer = lib.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
x = lib.linspace(-1, 1, 10).unsqueeze(1)
for _ in range(200):
    optimizer.zero_grad()
    nn.functional.mse_loss(net(x), 1.5 * x).backward()
    optimizer.step()
print(next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
    return float(subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True).stdout)


def import_time(library: str) -> float:
    """Seconds that `import library` takes after `import numpy`."""
    code = f"import numpy, time; t = time.perf_counter(); import {library}; print(time.perf_counter() - t)"
    runs = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout) for _ in range(5)
    ]
    return statistics.median(runs)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="half a second per workload instead of three")
    parser.add_argument("--only", default="", help="only workloads whose name holds this text")
    arguments = parser.parse_args()
    print(f"PyTorch {torch.__version__}, NumPy {np.__version__}, times in ms, ratio = PyTorch / ours\n")
    print("| workload | ours | PyTorch 1T | PyTorch 2T | ratio to 1T | ratio to 2T | asked for |")
    print("|---|---|---|---|---|---|---|")
    for name, make, target in WORKLOADS:
        if arguments.only in name:
            ours, one, two = measure(make, 0.5 if arguments.quick else 3)
            asked = f">= {target}" if target else ""
            times = " | ".join(f"{t * 1e3:.3g}" for t in (ours, one, two))
            print(f"| {name} | {times} | {one / ours:.2f} | {two / ours:.2f} | {asked} |", flush=True)
    if not arguments.only:
        print("\n| | ours | PyTorch |\n|---|---|---|")
        ours, theirs = peak_memory("tinygrad_norm"), peak_memory("torch")
        print(f"| peak memory of a process that trains an MLP, MB | {ours:.0f} | {theirs:.0f} |")
        print(f"| import beyond NumPy's, s | {import_time('tinygrad_norm'):.3f} | {import_time('torch'):.3f} |")


if __name__ == "__main__":
    main()
