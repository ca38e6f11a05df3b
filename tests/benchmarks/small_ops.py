"""Small arrays: the Python calls of an op, and its time beside PyTorch's.

    python tests/benchmarks/small_ops.py

On 8 x 8 float32 Tensors that require grad. Calls are those of the package's own functions, forward and in backward();
`tests/test_counts.py` holds them.
"""

from __future__ import annotations

import importlib.util
import math
import sys
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tinygrad_norm as tn

PACKAGE = str(Path(tn.__file__).parent)


def small_ops(T: Any) -> dict[str, Callable]:
    """The ops, in that library."""
    F = T.nn.functional
    T.manual_seed(0)
    a, b = (T.randn(8, 8, requires_grad=True) for _ in range(2))
    images, kernels = T.randn(2, 3, 8, 8, requires_grad=True), T.randn(4, 3, 3, 3, requires_grad=True)
    labels, index, mask = T.arange(8), T.tensor([0, 1, 2]), a.detach() > 0
    return {
        "a + b": lambda: a + b,
        "a * b": lambda: a * b,
        "a / b": lambda: a / b,
        "a.exp()": lambda: a.exp(),
        "a.relu()": lambda: a.relu(),
        "a.sum()": lambda: a.sum(),
        "a.mean()": lambda: a.mean(),
        "a.reshape(64)": lambda: a.reshape(64),
        "a.t()": lambda: a.t(),
        "a[0]": lambda: a[0],
        "a @ b": lambda: a @ b,
        "a.softmax(1)": lambda: a.softmax(1),
        "a.max(1)": lambda: a.max(1)[0],
        "cat([a, b])": lambda: T.cat([a, b]),
        "stack([a, b])": lambda: T.stack([a, b]),
        "where(mask, a, b)": lambda: T.where(mask, a, b),
        "F.linear(a, b)": lambda: F.linear(a, b),
        "F.mse_loss(a, b)": lambda: F.mse_loss(a, b),
        "F.layer_norm(a, (8,))": lambda: F.layer_norm(a, (8,)),
        "F.cross_entropy(a, labels)": lambda: F.cross_entropy(a, labels),
        "a[:, index]": lambda: a[:, index],
        "F.conv2d(images, kernels)": lambda: F.conv2d(images, kernels),
    }


def steps() -> dict[str, Callable]:
    """Training steps: the MLP 1-200-200-200-1, and LeNet with batch norm."""
    nn, F = tn.nn, tn.nn.functional
    tn.manual_seed(0)
    mlp = nn.Sequential(
        *(nn.Linear(1, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 1))
    )
    lenet = nn.Sequential(
        *(nn.Conv2d(3, 6, 5), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.BatchNorm1d(120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )
    points, images, labels = tn.randn(10, 1), tn.randn(16, 3, 32, 32), tn.randint(0, 10, (16,))

    def step(net: Any, loss: Callable) -> Callable:
        optimizer = tn.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)

        def run() -> None:
            optimizer.zero_grad()
            loss(net).backward()
            optimizer.step()

        return run

    return {
        "a step of the MLP": step(mlp, lambda net: F.mse_loss(net(points), points)),
        "a step of LeNet": step(lenet, lambda net: F.cross_entropy(net(images), labels)),
    }


def calls(function: Callable) -> int:
    """How many of the package's own functions a call runs through, once everything has been prepared."""
    for _ in range(3):
        function()
    count = 0

    def see(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call" and frame.f_code.co_filename.startswith(PACKAGE)

    sys.setprofile(see)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


def calls_of_backward(function: Callable) -> int:
    """The same of backward() of its result."""
    g = tn.ones_like(function().detach())
    results = [function() for _ in range(4)]
    return calls(lambda: results.pop().backward(g))


def microseconds(function: Callable) -> float:
    """The least mean of several series."""
    return min(timeit.repeat(function, number=500, repeat=7)) / 500 * 1e6


def main() -> None:
    """Print the table."""
    torch = __import__("torch") if importlib.util.find_spec("torch") else None
    if torch is not None:
        torch.set_num_threads(1)
    theirs = {} if torch is None else small_ops(torch)
    ratios = []
    print("| op on 8 x 8 | calls | calls of backward | us | PyTorch, us | ratio |\n|---|---|---|---|---|---|")
    for name, run in small_ops(tn).items():
        ours, other = microseconds(run), microseconds(theirs[name]) if theirs else math.nan
        ratios.append(other / ours)
        print(f"| {name} | {calls(run)} | {calls_of_backward(run)} | {ours:.1f} | {other:.1f} | {ratios[-1]:.2f} |")
    for name, run in steps().items():
        print(f"| {name} | {calls(run)} | | | | |")
    print(f"\ngeometric mean of the ratios: {math.exp(sum(map(math.log, ratios)) / len(ratios)):.2f}")


if __name__ == "__main__":
    main()
