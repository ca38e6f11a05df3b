"""Data parallelism: the same training in 1, 2 and 4 processes, and what it costs.

A batch of 16 digits, shared out over the processes. With SyncBatchNorm the loss curve is that of one process, up to rounding:
norm and gradients are those of all 16. With a batch norm of each process' own, four processes normalize over 4 samples each,
which is another function. Then the price: a step has to wait for the sum of all gradients.

    python examples/11_data_parallel.py                # starts the processes itself, and draws
    mpiexec -n 2 python examples/11_data_parallel.py   # trains in two processes
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from common import LeNet, claim, label_lines, options, save_figure, smoothed, start

import tinygrad_norm as tn
from tinygrad_norm import distributed as dist
from tinygrad_norm import nn, optim
from tinygrad_norm.data import DataLoader, DistributedSampler, digits
from tinygrad_norm.nn.parallel import DistributedDataParallel

TOTAL_BATCH = 16
PROCESSES = (1, 2, 4)
SIZES = [2**k for k in range(4, 23, 3)]  # bytes to time all_reduce with: 16 B to 4 MiB
NAMES = {True: "SyncBatchNorm", False: "BatchNorm of each process"}


def train(sync: bool, processes: int, steps: int, lr: float) -> list[float]:
    """The losses of all steps, each the mean over all processes; in float64, where rounding is not to be seen."""
    tn.manual_seed(0)
    model: nn.Module = LeNet("lenet5", "batch", 0.0).double()
    if processes > 1:
        model = DistributedDataParallel(nn.SyncBatchNorm.convert_sync_batchnorm(model) if sync else model)
    optimizer = optim.SGD(model.parameters(), lr, momentum=0.9)
    dataset, losses, epoch = digits(train=True), [], 0
    rank = dist.get_rank() if processes > 1 else 0
    sampler = DistributedSampler(dataset, processes, rank, drop_last=True)
    while len(losses) < steps:
        sampler.set_epoch(epoch)
        for x, y in DataLoader(dataset, TOTAL_BATCH // processes, sampler=sampler, drop_last=True):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x.double()), y)
            loss.backward()
            optimizer.step()
            losses.append((dist.all_reduce(loss.detach()) / processes if processes > 1 else loss).item())
        epoch += 1
    return losses[:steps]


def seconds_per_step(processes: int, steps: int, batch_size: int) -> tuple[float, list[int]]:
    """The median time of a step in float32 with so many examples in each process, and the bytes of its exchanges."""
    model: nn.Module = LeNet("lenet5", "batch", 0.0)
    features = [layer.num_features for layer in model.modules() if hasattr(layer, "num_features")]
    if processes > 1:
        model = DistributedDataParallel(nn.SyncBatchNorm.convert_sync_batchnorm(model))
    optimizer = optim.SGD(model.parameters(), 0.01)
    x, y = (t[:batch_size] for t in digits(train=True).tensors)
    seconds = []
    for _ in range(steps + 2):  # the first ones warm up
        if processes > 1:
            dist.barrier()
        began = time.perf_counter()
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        seconds.append(time.perf_counter() - began)
    gradients = sum(p.numel() * 4 for p in model.parameters())
    # in float64: count and mean of each feature, their squares, and backward two sums
    of_norms = [8 * numbers * n for n in features for numbers in (2, 1, 2)]
    return float(np.median(seconds[2:])), [gradients, *of_norms]


def seconds_of_all_reduce(sizes: list[int], repetitions: int) -> float:
    """The median time of one all_reduce after the other, of so many bytes each."""
    arrays, seconds = [tn.zeros(size // 4) for size in sizes], []
    for _ in range(repetitions):
        dist.barrier()
        began = time.perf_counter()
        for x in arrays:
            dist.all_reduce(x)
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds))


def measure(processes: int, arguments) -> dict:
    """All figures for this number of processes; they are printed, and of several written to a file, by process 0."""
    steps = 12 if arguments.quick else arguments.iterations
    found: dict = {name: train(sync, processes, steps, arguments.lr) for sync, name in NAMES.items()}
    found["step"], found["exchanged"] = seconds_per_step(processes, 3 if arguments.quick else 30, arguments.batch_size)
    if processes == 1:
        print(f"1 process: {arguments.batch_size / found['step']:6.0f} examples/s with {arguments.batch_size}", flush=True)
        return found
    repetitions = 5 if arguments.quick else 50
    found["exchanges"] = seconds_of_all_reduce(found["exchanged"], repetitions)
    found["all_reduce"] = [seconds_of_all_reduce([size], repetitions) for size in SIZES]
    if dist.get_rank() == 0:
        speed, size = processes * arguments.batch_size / found["step"], sum(found["exchanged"]) / 1e3
        print(
            f"{processes} processes: {speed:6.0f} examples/s with {arguments.batch_size} each; "
            f"a step of {1e3 * found['step']:.1f} ms sums up {size:.0f} kB in "
            f"{len(found['exchanged'])} exchanges, which alone take {1e3 * found['exchanges']:.2f} ms, "
            f"{found['exchanges'] / found['step']:.1%} of it",
            flush=True,
        )
        (arguments.out / f"processes_{processes}.json").write_text(json.dumps(found))
    return found


def in_processes(count: int, arguments) -> dict | None:
    """What this program finds in so many processes, None where it cannot be started."""
    mpiexec = shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")
    if mpiexec is None:
        print("mpiexec is not installed: pip install mpich")
        return None
    options = ["--iterations", str(arguments.iterations), "--lr", str(arguments.lr), "--batch-size", str(arguments.batch_size)]
    command = [mpiexec, "-n", str(count), sys.executable, __file__, "--out", str(arguments.out), *options]
    one_thread = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, *["--quick"] * arguments.quick], check=True, env=one_thread)
    return json.loads((arguments.out / f"processes_{count}.json").read_text())


# ---- the price, on paper ------------------------------------------------------------------


def constants(seconds: list[float]) -> tuple[float, float]:
    """Alpha and beta, with which all_reduce of n bytes in two processes takes 2 alpha + beta n: fitted in relative terms."""
    n, t = np.array(SIZES, float), np.array(seconds)
    (two_alpha, beta), *_ = np.linalg.lstsq(np.stack([1 / t, n / t], axis=1), np.ones(len(n)), rcond=None)
    return max(two_alpha / 2, 0.0), max(beta, 0.0)


def projected(processes: int, exchanged: list[int], alpha: float, beta: float) -> float:
    """Seconds of a step's exchanges, by halving and doubling (Thakur et al. 2005): 2 log2(P) messages each, and in all
    2 (P - 1) / P of the bytes.
    """
    messages = 2 * math.log2(processes) * len(exchanged)
    return messages * alpha + 2 * (processes - 1) / processes * sum(exchanged) * beta


def draw(path: Path, found: dict[int, dict], batch_size: int) -> None:
    """Both loss curves; and what a step and its all_reduce take: measured, and projected."""
    figure, axes = plt.subplots(1, 3, figsize=(15, 4))
    for axis, name in zip(axes, NAMES.values()):
        for (processes, of), width in zip(found.items(), (5, 3, 1.5)):
            label = f"{processes} x {TOTAL_BATCH // processes} samples"
            axis.semilogy(*smoothed(of[name]), lw=width, label=label)
        axis.set(title=f"LeNet, {name}", xlabel="step", ylabel="loss, mean of 10 steps")
        label_lines(axis)
    axis, counts, one, title = axes[2], [2**k for k in range(1, 11)], found[1], f"{batch_size} samples per process"
    axis.loglog(list(found), [1e3 * of["step"] for of in found.values()], "ks", label="a step, measured")
    axis.axhline(1e3 * one["step"], color="k", ls=":", label="a step of one process")
    if 2 in found:
        alpha, beta = constants(found[2]["all_reduce"])
        title += f"\n{1e6 * alpha:.1f} µs a message, then {1e-9 / max(beta, 1e-15):.1f} GB/s"
        exchanges = {p: 1e3 * of["exchanges"] for p, of in found.items() if p > 1}
        axis.loglog(
            list(exchanges),
            list(exchanges.values()),
            "o",
            color="C1",
            label=f"its exchanges, measured on {os.cpu_count()} cores",
        )
        line = [1e3 * projected(p, one["exchanged"], alpha, beta) for p in counts]
        axis.loglog(counts, line, "--", color="C1", label="its exchanges, projection")
    axis.set(xlabel="processes", ylabel="milliseconds", ylim=(0.005, 6e3 * max(of["step"] for of in found.values())))
    axis.set_title(title)
    axis.set_xticks([1, 4, 16, 64, 256, 1024], ["1", "4", "16", "64", "256", "1024"])
    axis.minorticks_off()
    axis.legend(loc="lower right", fontsize=8)
    save_figure(figure, path)


def main(argv: list[str] | None = None) -> dict[int, dict]:
    """Train in 1, 2 and 4 processes; or, under mpiexec, in those that there are."""
    parser = options(__doc__.splitlines()[0], iterations=150, lr=0.02, batch_size=64, out="runs/11_data_parallel")
    arguments = start(parser, argv)
    counts = PROCESSES[1:] if arguments.backend == "numpy" else ()
    try:
        processes = dist.get_world_size()
    except ImportError as error:
        print(f"one process only: {error}")
        processes, counts = 1, ()
    if processes > 1:
        return {processes: measure(processes, arguments)}
    found = {1: measure(1, arguments)}
    for count in counts:
        if (of := in_processes(count, arguments)) is not None:
            found[count] = of
    draw(arguments.out / "figure.png", found, arguments.batch_size)
    if len(found) == len(PROCESSES):
        gap = {name: max(np.abs(np.subtract(found[p][name], found[1][name])).max() for p in found) for name in NAMES.values()}
        for name, value in gap.items():
            print(f"largest difference between the losses of 1, 2 and 4 processes, {name}: {value:.1e}")
        claim("with SyncBatchNorm the loss curves are equal up to rounding", gap[NAMES[True]] < 1e-10)
        claim("with a batch norm of each process' own they are not", gap[NAMES[False]] > 0.05)
        alpha, beta = constants(found[2]["all_reduce"])
        at = projected(1024, found[1]["exchanged"], alpha, beta)
        print(f"projection, not measured: on 1,024 such processes the exchanges take {1e3 * at:.2f} ms of a step")
    return found


if __name__ == "__main__":
    main()
