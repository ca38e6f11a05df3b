"""How near the loops come to the speed of memory: the bytes that each has to move, beside a copy of as many in the same run.

    OPENBLAS_NUM_THREADS=2 python tests/benchmarks/memory.py

Arrays of 8 MB, float32. An array that is read twice counts once where a group of it fits the cache. A share of 1 is the speed
of a copy on as many threads.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import tinygrad_norm as tn
from tinygrad_norm.nn.functional import classification, norm
from tinygrad_norm.nn.functional.dropout import keep_and_scale
from tinygrad_norm.ops import softmax, unary
from tinygrad_norm.optim import adam, sgd

SHAPE = (32, 64, 32, 32)
MB = 4 * 32 * 64 * 32 * 32 / 1e6  # of one array


def milliseconds(run: Callable) -> float:
    """The median of several calls."""
    run()
    return float(np.median(timeit.repeat(run, number=1, repeat=25))) * 1e3


def copy(threads: int) -> Callable:
    """One array copied, in parts, on so many threads: 2 times its bytes."""
    x, y = (np.ones(SHAPE, np.float32) for _ in range(2))
    pool = ThreadPoolExecutor(threads)
    parts = list(zip(np.array_split(y, threads), np.array_split(x, threads)))
    return lambda: list(pool.map(lambda p: np.copyto(*p), parts))


def work() -> dict[str, tuple[float, Callable]]:
    """What is measured: how many arrays it has to read and to write, and the call."""
    random = np.random.default_rng(0)
    x, g, y, m, v = (random.normal(size=SHAPE).astype(np.float32) for _ in range(5))
    v = abs(v)
    scores, classes = x.reshape(4096, -1), np.arange(4096) % 512
    found: dict[str, tuple[float, Callable]] = {
        "relu": (2, lambda: unary.relu.op.forward(x)),
        "relu, backward": (3, lambda: unary.relu_gradient(g, y)),
        "sigmoid": (2, lambda: unary.sigmoid_of(x)),
        "dropout: bits, mask and scale": (2.5, lambda: keep_and_scale(x, tn.default_generator.kept(SHAPE, 0.5), 0.5)),
        "exponentials of rows of 512": (2, lambda: softmax.exponentials_of(scores, 1)),
        "SGD with momentum": (5, lambda: sgd.sgd_step(y, g, m, 0.1, 0.9, 1, 0.0, False, False)),
        "Adam": (7, lambda: adam.adam_step(y, g, m, v, None, 0.1, 1.0, 0.9, 0.99, 1e-8, 0.0, 1.0, False)),
    }
    _, exponentials, totals = softmax.exponentials_of(scores, 1)
    share = np.full((4096, 1), 1 / 4096, np.float32)
    found["cross-entropy, backward"] = (
        2,
        lambda: classification.cross_entropy_gradient(exponentials, totals, classes, share),
    )
    seen = {
        "batch norm": (SHAPE, (0, 2, 3), (1, 64, 1, 1), 1),
        "instance norm": (SHAPE, (2, 3), (1, 64, 1, 1), 0),
        "group norm": ((32, 8, 8, 32, 32), (2, 3, 4), (1, 8, 8, 1, 1), 0),
        "layer norm": (SHAPE, (1, 2, 3), (1, *SHAPE[1:]), 0),
        "layer norm of 512": ((4096, 512), (1,), (1, 512), 0),
    }
    for name, (shape, axes, affine, again) in seen.items():
        a, b, weight = x.reshape(shape), g.reshape(shape), np.ones(affine, np.float32)
        _, mean, variance = norm.normalize(a, weight, weight, axes, 1e-5)

        def forward(a=a, weight=weight, axes=axes):
            return norm.normalize(a, weight, weight, axes, 1e-5)

        def backward(a=a, b=b, weight=weight, mean=mean, variance=variance, axes=axes):
            return norm.normalize_gradients(b, a, weight, mean, variance, axes, 1e-5, (True, True, True))

        found[name] = (2 + again, forward)
        found[f"{name}, backward"] = (3 + 2 * again, backward)
    return found


def main() -> None:
    """Print the table."""
    tn.keep_freed_memory()  # as an optimizer does
    threads = tn.get_num_threads()
    copied = {n: 2 * MB / milliseconds(copy(n)) for n in {1, threads}}
    print(", ".join(f"a copy on {n}: {speed:.1f} GB/s" for n, speed in sorted(copied.items())))
    print("\n| work | MB | 1T, ms | share of a copy | " + f"{threads}T, ms | share of a copy |\n|---|---|---|---|---|---|")
    for name, (arrays, run) in work().items():
        cells = []
        for n in (1, threads):
            tn.set_num_threads(n)
            ms = milliseconds(run)
            cells += [f"{ms:.2f}", f"{arrays * MB / ms / copied[n]:.2f}"]
        print(f"| {name} | {arrays * MB:.0f} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
