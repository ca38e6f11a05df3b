"""Speed on a GPU, beside PyTorch on the same card.

    python tests/benchmarks/gpu.py [--quick]

LeNet of d2l with batch norm at batch 256 and 4,096, the norms at (256, 64, 56, 56), the MLP, and Adam on a million
parameters. Each is warmed up; then both take turns, and each run is timed by events of the device, not by the host's
clock. Printed are the medians. A ratio above 1 means that we are faster. Copies to the host inside a training step would
show as pauses here; the tests count them on the double.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable

from workloads import layer, lenet_d2l, mlp, optimizer_step, training

import tinygrad_norm as tn

try:
    import cupy
    import torch
except ImportError as error:
    sys.exit(f"this needs CuPy and PyTorch with CUDA: {error}")

SHAPE = (256, 64, 56, 56)
# name, workload, the least ratio that is asked for
WORKLOADS: list[tuple[str, Callable, float | None]] = [
    ("LeNet of d2l with BN, batch 256", training(lenet_d2l, (256, 1, 28, 28)), None),
    ("LeNet of d2l with BN, batch 4096", training(lenet_d2l, (4096, 1, 28, 28)), 0.5),
    (f"BatchNorm2d {SHAPE}", layer(lambda nn: nn.BatchNorm2d(64), SHAPE, True), 0.77),
    (f"LayerNorm {SHAPE}", layer(lambda nn: nn.LayerNorm(SHAPE[1:]), SHAPE, True), 0.77),
    (f"InstanceNorm2d {SHAPE}", layer(lambda nn: nn.InstanceNorm2d(64, affine=True), SHAPE, True), 0.77),
    (f"GroupNorm {SHAPE}", layer(lambda nn: nn.GroupNorm(32, 64), SHAPE, True), 0.77),
    ("MLP 1-200-200-200-1, 20 steps", mlp, None),
    ("Adam, 1,000,000 parameters", optimizer_step("Adam"), None),
]


def ours(run: Callable) -> float:
    """Milliseconds of one call, by CuPy's events."""
    begin, end = cupy.cuda.Event(), cupy.cuda.Event()
    begin.record()
    run()
    end.record()
    end.synchronize()
    return cupy.cuda.get_elapsed_time(begin, end)


def theirs(run: Callable) -> float:
    """Milliseconds of one call, by PyTorch's events."""
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    run()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer turns")
    turns = 10 if parser.parse_args().quick else 50
    tn.set_backend("cupy")
    torch.set_default_device("cuda")
    torch.backends.cudnn.allow_tf32 = False  # float32 in both; CuPy's products have no TF32 unless asked for
    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    print(f"{name}, CuPy {cupy.__version__}, PyTorch {torch.__version__}, ratio = PyTorch / ours\n")
    print("| workload | ours, ms | PyTorch, ms | ratio | asked for |\n|---|---|---|---|---|")
    for workload, make, target in WORKLOADS:
        runs = make(tn), make(torch)
        for run in runs:
            for _ in range(3):
                run()
        cupy.cuda.Device().synchronize()
        torch.cuda.synchronize()
        times = [(ours(runs[0]), theirs(runs[1])) for _ in range(turns)]
        mine, peer = (statistics.median(t) for t in zip(*times))
        asked = f">= {target}" if target else ""
        print(f"| {workload} | {mine:.3g} | {peer:.3g} | {peer / mine:.2f} | {asked} |", flush=True)
        del run, runs
        cupy.get_default_memory_pool().free_all_blocks()
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
