"""SGD, momentum and Adam as paths on a surface: f(x, y) = x**2 / 200 + y**2.

A valley two hundred times as steep across as along. The learning rate that the steep side bears is slow along the flat one: SGD
creeps, momentum gathers speed and overshoots, Adam divides each coordinate by the size of its own gradients, and goes straight
at first. The rates are those at which each arrives soonest, of ten that were tried.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from common import claim, host, options, save_figure, start

import tinygrad_norm as tn
from tinygrad_norm import optim

BEGIN, NEAR = (-9.0, 2.5), 0.01  # where all begin, and the f at which they have arrived
RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.5)
RULES = {
    "SGD": lambda p, lr: optim.SGD([p], lr),
    "momentum 0.9": lambda p, lr: optim.SGD([p], lr, momentum=0.9),
    "Adam": lambda p, lr: optim.Adam([p], lr),
}


def f(p: tn.Tensor) -> tn.Tensor:
    """The valley, with its minimum 0 at (0, 0)."""
    return p[0] ** 2 / 200 + p[1] ** 2


def walk(rule: str, lr: float, steps: int) -> np.ndarray:
    """The points that a rule visits, (steps + 1, 2)."""
    p = tn.tensor(BEGIN, dtype=tn.float64, requires_grad=True)
    optimizer, path = RULES[rule](p, lr), [host(p).copy()]
    for _ in range(steps):
        optimizer.zero_grad()
        f(p).backward()
        optimizer.step()
        path.append(host(p).copy())
    return np.array(path)


def arrival(path: np.ndarray) -> int:
    """After how many steps f stays below NEAR; one more than there are if it does not."""
    far = np.flatnonzero(path[:, 0] ** 2 / 200 + path[:, 1] ** 2 >= NEAR)
    return int(far[-1]) + 1 if len(far) else 0


def main(argv: list[str] | None = None) -> dict[str, int]:
    """Walk at every rate, keep the quickest of each rule, and draw it."""
    arguments = start(options(__doc__.splitlines()[0], iterations=400, out="runs/15_paths"), argv)
    across, up = np.meshgrid(np.linspace(-10, 5, 150), np.linspace(-3.5, 3.5, 100))
    figure, axes = plt.subplots(3, 1, figsize=(8, 8), sharex=True)
    found = {}
    for axis, rule in zip(axes.flat, RULES):
        paths = {lr: walk(rule, lr, arguments.iterations) for lr in RATES}
        best = min(RATES, key=lambda lr: arrival(paths[lr]))
        path, found[rule] = paths[best], arrival(paths[best])
        axis.contour(across, up, across**2 / 200 + up**2, levels=[0.01, 0.05, 0.2, 0.5, 1, 2, 4, 8], colors="0.8", linewidths=1)
        axis.plot(*path[: found[rule] + 1].T, marker="o", ms=3, lw=1.2, color="C0")
        axis.plot(0, 0, "k*", ms=10)
        axis.set(title=f"{rule}: learning rate {best}, {found[rule]} steps", xlim=(-10, 5), ylim=(-3.5, 3.5))
        axis.grid(visible=False)
    save_figure(figure, arguments.out / "figure.png")
    print(", ".join(f"{rule} {steps} steps" for rule, steps in found.items()))
    claim("every rule arrives", all(steps <= arguments.iterations for steps in found.values()))
    claim("momentum arrives in a third of SGD's steps", found["momentum 0.9"] < found["SGD"] / 3)
    claim("Adam arrives in a third of SGD's steps", found["Adam"] < found["SGD"] / 3)
    return found


if __name__ == "__main__":
    main()
