"""Beside other engines written in Python on NumPy: autograd and MyGrad, as far as they are installed.

    pip install autograd mygrad && python tests/benchmarks/others.py

The same work as in workloads.py, written as each library's users write it; they have no layers and no optimizers.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import statistics
from collections.abc import Callable

import numpy as np
import workloads
from compare import Worker, in_turns, work

SIZES = (1, 200, 200, 200, 1)


def parameters(shapes: list[tuple[int, ...]], seed: int = 0) -> list[np.ndarray]:
    """Random arrays in float32."""
    random = np.random.default_rng(seed)
    return [(random.normal(size=s) / np.sqrt(np.prod(s[1:]) or 1)).astype("float32") for s in shapes]


def sgd(values: list[np.ndarray], gradients: list[np.ndarray], buffers: list[np.ndarray]) -> None:
    """Momentum 0.9 and weight decay 0.01, in place."""
    for p, g, b in zip(values, gradients, buffers):
        b *= 0.9
        b += g
        b += np.float32(0.01) * p
        p -= np.float32(0.01) * b


def autograd_chain(lib) -> Callable:
    """As workloads.chain."""

    def f(x):
        for _ in range(1000):
            x = x * 1.001
        return lib.numpy.sum(x)

    gradient, x = lib.grad(f), np.ones(10, "float32")
    return lambda: gradient(x)


def autograd_mlp(lib) -> Callable:
    """As workloads.mlp."""
    anp = lib.numpy
    x = np.linspace(-1, 1, 10, dtype="float32")[:, None]
    y = np.float32(1.5) * x
    values = parameters([shape for i, o in itertools.pairwise(SIZES) for shape in ((o, i), (o,))])
    buffers = [np.zeros_like(p) for p in values]

    def loss(values):
        h = x
        for k in range(0, len(values), 2):
            h = anp.dot(h, values[k].T) + values[k + 1]
            if k < len(values) - 2:
                h = anp.maximum(h, 0)
        return anp.mean((h - y) ** 2)

    gradient = lib.grad(loss)

    def run() -> None:
        for _ in range(20):
            sgd(values, gradient(values), buffers)

    return run


def mygrad_chain(lib) -> Callable:
    """As workloads.chain."""

    def run() -> None:
        x = y = lib.tensor(np.ones(10, "float32"))
        for _ in range(1000):
            y = y * 1.001
        y.sum().backward()
        assert x.grad is not None

    return run


def mygrad_step(lib, shapes: list[tuple[int, ...]], loss: Callable, steps: int) -> Callable:
    """Training steps on parameters of these shapes."""
    values = parameters(shapes)
    tensors, buffers = [lib.tensor(v, copy=False) for v in values], [np.zeros_like(v) for v in values]

    def run() -> None:
        for _ in range(steps):
            loss(tensors).backward()
            sgd([t.data for t in tensors], [t.grad for t in tensors], buffers)

    return run


def mygrad_mlp(lib) -> Callable:
    """As workloads.mlp."""
    from mygrad.nnet.activations import relu

    x = np.linspace(-1, 1, 10, dtype="float32")[:, None]
    y = np.float32(1.5) * x

    def loss(tensors):
        h = x
        for k in range(0, len(tensors), 2):
            h = lib.matmul(h, tensors[k].T) + tensors[k + 1]
            if k < len(tensors) - 2:
                h = relu(h)
        return lib.mean((h - y) ** 2)

    return mygrad_step(lib, [s for i, o in itertools.pairwise(SIZES) for s in ((o, i), (o,))], loss, 20)


def mygrad_lenet(lib) -> Callable:
    """As workloads' LeNet of d2l with batch norm, batch 256, with maximum pooling: MyGrad has no mean pooling."""
    from mygrad.nnet.activations import sigmoid
    from mygrad.nnet.layers import batchnorm, conv_nd, max_pool
    from mygrad.nnet.losses import softmax_crossentropy

    x = np.random.default_rng(0).random((256, 1, 28, 28), dtype="float32")
    y = np.random.default_rng(1).integers(0, 10, 256)
    shapes: list[tuple[int, ...]] = [(6, 1, 5, 5), (6,), (6,), (16, 6, 5, 5), (16,), (16,)]
    shapes += [(120, 256), (120,), (120,), (84, 120), (84,), (84,), (10, 84), (10,)]

    def loss(t):
        h = x
        for k in (0, 3):
            h = sigmoid(batchnorm(conv_nd(h, t[k], stride=1), gamma=t[k + 1], beta=t[k + 2], eps=1e-5))
            h = max_pool(h, (2, 2), 2)
        h = h.reshape(256, 256)
        for k in (6, 9):
            h = sigmoid(batchnorm(lib.matmul(h, t[k].T), gamma=t[k + 1], beta=t[k + 2], eps=1e-5))
        return softmax_crossentropy(lib.matmul(h, t[12].T) + t[13], y)

    return mygrad_step(lib, shapes, loss, 1)


CHAIN, MLP, LENET = "op chain, 1,000 ops", "MLP 1-200-200-200-1, 20 steps", "LeNet of d2l with BN, batch 256 of (1, 28, 28)"
LIBRARIES = {
    "tinygrad_norm": workloads.BY_NAME,
    "autograd": {CHAIN: autograd_chain, MLP: autograd_mlp},
    "mygrad": {CHAIN: mygrad_chain, MLP: mygrad_mlp, LENET: mygrad_lenet},
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    worker = parser.parse_args().worker
    if worker:
        return work(worker, LIBRARIES[worker])
    print("| workload | ours, ms | autograd | MyGrad | ratio to autograd | ratio to MyGrad |\n|---|---|---|---|---|---|")
    workers = {name: Worker(__file__, name) for name in LIBRARIES if importlib.util.find_spec(name)}
    for workload in (CHAIN, MLP, LENET):
        able = [name for name in workers if workload in LIBRARIES[name]]
        times = dict(zip(able, in_turns([workers[name] for name in able], workload, 5, 0.1)))
        medians = {name: statistics.median(t) * 1e3 for name, t in times.items()}
        ours = medians["tinygrad_norm"]
        others = [medians.get(name) for name in ("autograd", "mygrad")]
        cells = [f"{ours:.3g}", *("" if t is None else f"{t:.3g}" for t in others)]
        cells += ["" if t is None else f"{t / ours:.1f}" for t in others]
        print(f"| {workload} | " + " | ".join(cells) + " |", flush=True)
    for w in workers.values():
        w.close()
    return None


if __name__ == "__main__":
    main()
