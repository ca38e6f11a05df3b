"""How time and memory grow with the batch and with the depth: a table, and the figure in the README.

    python tests/benchmarks/growth.py [--out FIGURE]

Time is the median of several training steps, ours and PyTorch's (on one thread) taken in turns. Memory is what a
training step allocates at its peak, beyond parameters and data, as a multiple of the activations: the outputs of all layers
together. It is counted with tracemalloc, to which NumPy reports its arrays. The scratch buffers, which stay from step to step,
are counted apart.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
from compare import Worker, in_turns, work
from workloads import lenet5, training

import tinygrad_norm as tn
from tinygrad_norm.fast.conv import _kept

mpl.use("Agg")
import matplotlib.pyplot as plt

BATCHES = (1, 4, 16, 64, 256, 1024)
DEPTHS = (1, 10, 100, 1000)


def deep(layers: int) -> Callable:
    """A net of that many layers of 64 units with ReLUs."""
    return lambda nn: nn.Sequential(*(m for _ in range(layers) for m in (nn.Linear(64, 64), nn.ReLU())), nn.Linear(64, 10))


WORKLOADS = {f"batch {n}": training(lenet5, (n, 3, 32, 32), lr=1e-3) for n in BATCHES[1:]}
WORKLOADS["batch 1"] = training(lambda nn: lenet5(nn).eval(), (1, 3, 32, 32), lr=1e-3)  # one value per feature has no variance
WORKLOADS |= {f"depth {n}": training(deep(n), (64, 64), lr=1e-3) for n in DEPTHS}


def memory(make_net: Callable, shape: tuple[int, ...]) -> tuple[float, float, float]:
    """Bytes of all layers' outputs, of the peak of a training step beyond parameters and data, and of scratch buffers."""
    net = make_net(tn.nn)
    outputs = []
    for module in net:
        module.register_forward_hook(lambda module, inputs, output: outputs.append(output.array.nbytes))
    x = tn.tensor(np.random.default_rng(0).random(shape, dtype="float32"))
    y = tn.tensor(np.zeros(shape[0], "int64"))

    def step() -> None:
        net.zero_grad()
        tn.nn.functional.cross_entropy(net(x), y).backward()

    _kept.buffers.clear()
    step()
    net.zero_grad()
    outputs.clear()
    tracemalloc.start()
    step()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return sum(outputs), peak, sum(buffer.nbytes for buffer in _kept.buffers.values())


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=str(Path(__file__).parent / "growth.png"), help="the figure")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return work(arguments.worker, WORKLOADS)
    workers = [Worker(__file__, name) for name in ("tinygrad_norm:1", "torch:1")]
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6))
    for axis, what, sizes, title in (
        (axes[0], "batch", BATCHES, "LeNet with batch norm, by batch size"),
        (axes[1], "depth", DEPTHS, "layers of 64 units, by their number"),
    ):
        print(f"\n| {what} | ours, ms | PyTorch 1T, ms | ours, µs per {'example' if what == 'batch' else 'layer'} |")
        print("|---|---|---|---|")
        medians = []
        for size in sizes:
            times = in_turns(workers, f"{what} {size}", 7, 0.05)
            medians.append([statistics.median(t) * 1e3 for t in times])
            print(f"| {size} | {medians[-1][0]:.3g} | {medians[-1][1]:.3g} | {medians[-1][0] / size * 1e3:.3g} |", flush=True)
        for values, style, label in zip(zip(*medians), ("k-o", "b--^"), ("tinygrad_norm", "PyTorch, one thread")):
            axis.loglog(sizes, values, style, label=label)
        axis.set(title=title, xlabel=what, ylabel="ms per training step")
        axis.legend()
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(arguments.out, dpi=90)
    for worker in workers:
        worker.close()
    print("\n| net | activations, MB | peak of a step / activations | scratch / activations |\n|---|---|---|---|")
    for name, net, shape in (
        ("LeNet with BN, batch 16", lenet5, (16, 3, 32, 32)),
        ("LeNet with BN, batch 256", lenet5, (256, 3, 32, 32)),
        ("LeNet with BN, batch 1024", lenet5, (1024, 3, 32, 32)),
        ("100 layers of 64 units, batch 1024", deep(100), (1024, 64)),
        ("1000 layers of 64 units, batch 1024", deep(1000), (1024, 64)),
    ):
        activations, peak, scratch = memory(net, shape)
        print(f"| {name} | {activations / 2**20:.1f} | {peak / activations:.2f} | {scratch / activations:.2f} |")
    return None


if __name__ == "__main__":
    sys.exit(main())
