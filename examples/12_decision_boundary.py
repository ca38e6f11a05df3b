"""A decision boundary while it is learned: two moons, and a net with two hidden layers.

Where the net says 1/2 is its boundary. After a few steps it is nearly a straight line, which is all that a net without hidden
layers can ever have; then it bends, and grows sharp. Two moons: points of two half circles with noise, a class each.
"""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
import numpy as np
from common import claim, host, options, save_figure, start

import tinygrad_norm as tn
from tinygrad_norm import nn, optim

STEPS = (0, 20, 100, 300, 2000)


def moons(points: int, noise: float = 0.15) -> tuple[tn.Tensor, tn.Tensor]:
    """So many points of each moon, (2 * points, 2), and their classes 0 and 1."""
    t = tn.rand(2, points) * math.pi
    upper = tn.stack([tn.cos(t[0]), tn.sin(t[0])], dim=1)
    lower = tn.stack([1 - tn.cos(t[1]), 0.5 - tn.sin(t[1])], dim=1)
    return tn.cat([upper, lower]) + noise * tn.randn(2 * points, 2), tn.cat([tn.zeros(points), tn.ones(points)])


def mlp(hidden: int = 16) -> nn.Sequential:
    """2 - hidden - hidden - 1."""
    return nn.Sequential(nn.Linear(2, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, 1))


def train(net: nn.Module, x: tn.Tensor, y: tn.Tensor, steps: int, lr: float, show=lambda step: None) -> None:
    """All points in each step; show(step) before the first, and after each."""
    optimizer = optim.SGD(net.parameters(), lr, momentum=0.9)
    show(0)
    for step in range(1, steps + 1):
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(net(x)[:, 0], y).backward()
        optimizer.step()
        show(step)


@tn.no_grad()
def accuracy(net: nn.Module, x: tn.Tensor, y: tn.Tensor) -> float:
    """The share of points on the right side."""
    return ((net(x)[:, 0] > 0) == (y > 0.5)).float().mean().item()


@tn.no_grad()
def draw(axis, net: nn.Module, x: tn.Tensor, y: tn.Tensor, title: str) -> None:
    """The probability of class 1 as colors, the boundary, and the points."""
    across, up = np.meshgrid(np.linspace(-1.6, 2.6, 120), np.linspace(-1.2, 1.7, 90))
    grid = tn.tensor(np.stack([across.ravel(), up.ravel()], axis=1), dtype=tn.float32)
    p = host(tn.sigmoid(net(grid))).reshape(across.shape)
    axis.contourf(across, up, p, levels=np.linspace(0, 1, 11), cmap="RdBu_r", alpha=0.5)
    axis.contour(across, up, p, levels=[0.5], colors="k", linewidths=1.5)
    axis.scatter(*host(x).T, c=host(y), cmap="RdBu_r", s=8, edgecolors="k", linewidths=0.3)
    axis.set(title=f"{title}: {accuracy(net, x, y):.1%} right", xticks=[], yticks=[])


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Train both nets, and draw what they say on the way."""
    arguments = start(options(__doc__.splitlines()[0], examples=150, lr=0.1, out="runs/12_decision_boundary"), argv)
    shown = STEPS[:-1] if arguments.quick else STEPS
    x, y = moons(arguments.examples)
    net, linear = mlp(), nn.Linear(2, 1)
    figure, axes = plt.subplots(2, 3, figsize=(11, 6))
    places = dict(zip(shown, axes.flat))
    train(net, x, y, shown[-1], arguments.lr, lambda i: draw(places[i], net, x, y, f"step {i}") if i in places else None)
    train(linear, x, y, shown[-1], arguments.lr)
    draw(axes.flat[-1], linear, x, y, "no hidden layer")
    save_figure(figure, arguments.out / "figure.png")
    found = {"net": accuracy(net, x, y), "line": accuracy(linear, x, y)}
    claim("the net gets at least 98 % right", found["net"] >= 0.98)
    claim("a straight line gets less than 92 % right", found["line"] < 0.92)
    return found


if __name__ == "__main__":
    main()
