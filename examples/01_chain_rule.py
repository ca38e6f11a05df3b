"""The chain rule by hand: what `backward` does, on a graph small enough to follow with a pencil.

    loss = (tanh(w * x + b) - target)**2

Forward, each step is computed from the one before. Backward, from the loss to the inputs, each gradient is the
gradient of the next step times one local derivative. That is all there is to it; an engine only keeps the list.
"""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
from common import claim, options, save_figure, start

import tinygrad_norm as tn

PLACES = {"x": (0, 2), "w": (0, 1), "b": (1.3, 0), "u = w x": (1.3, 1.5), "v = u + b": (2.6, 1)}
PLACES |= {"a = tanh(v)": (3.9, 1), "d = a - target": (5.2, 1), "loss = d²": (6.5, 1)}
ARROWS = [("x", "u = w x"), ("w", "u = w x"), ("u = w x", "v = u + b"), ("b", "v = u + b"), ("v = u + b", "a = tanh(v)")]
ARROWS += [("a = tanh(v)", "d = a - target"), ("d = a - target", "loss = d²")]


def by_hand(x: float, w: float, b: float, target: float) -> tuple[dict[str, float], dict[str, float]]:
    """The values of all steps, and dloss/d of each."""
    u = w * x
    v = u + b
    a = math.tanh(v)
    d = a - target
    loss = d * d
    values = dict(zip(PLACES, (x, w, b, u, v, a, d, loss)))

    g_loss = 1.0
    g_d = g_loss * 2 * d  # d(d²)/dd = 2 d
    g_a = g_d * 1  # a constant taken off changes nothing
    g_v = g_a * (1 - a * a)  # dtanh(v)/dv = 1 - tanh(v)²
    g_u = g_v * 1  # a sum hands its gradient on to both terms
    g_b = g_v * 1
    g_w = g_u * x  # a product hands on the gradient times the other factor
    g_x = g_u * w
    return values, dict(zip(PLACES, (g_x, g_w, g_b, g_u, g_v, g_a, g_d, g_loss)))


def by_engine(x: float, w: float, b: float, target: float) -> dict[str, float]:
    """The same gradients, from the graph that the operations left."""
    leaves = [tn.tensor(v, dtype=tn.float64, requires_grad=True) for v in (x, w, b)]
    steps = [leaves[0] * leaves[1]]
    steps.append(steps[-1] + leaves[2])
    steps.append(tn.tanh(steps[-1]))
    steps.append(steps[-1] - target)
    steps.append(steps[-1] ** 2)
    for step in steps:
        step.retain_grad()  # gradients of what is not a leaf are not kept unless asked for
    names = dict(zip("xwb", leaves))
    with tn.trace(names=names) as walk:
        steps[-1].backward()
    print(f"The graph, from the loss back to the leaves:\n{tn.draw(steps[-1], names=names)}\n")
    print(f"And backward's way through it:\n{walk}\n")
    return {name: t.grad.item() for name, t in zip(PLACES, leaves + steps)}


def main(argv: list[str] | None = None) -> float:
    """Print both and draw the graph; returns the largest difference."""
    arguments = start(options(__doc__.splitlines()[0], out="runs/01_chain_rule"), argv)
    point = {"x": 1.5, "w": -0.4, "b": 0.9, "target": 0.8}
    values, gradients = by_hand(**point)
    engine = by_engine(**point)
    print(f"{'step':16} {'value':>9} {'dloss/d, by hand':>17} {'by the engine':>14}")
    for name, value in values.items():
        print(f"{name:16} {value:9.4f} {gradients[name]:17.6f} {engine[name]:14.6f}")

    figure, axis = plt.subplots(figsize=(11, 3.4))
    for start_, end in ARROWS:
        axis.annotate("", PLACES[end], PLACES[start_], arrowprops={"arrowstyle": "->", "shrinkA": 42, "shrinkB": 42})
    for name, (column, row) in PLACES.items():
        text = f"{name}\n{values[name]:.3f}\ngradient {gradients[name]:.3f}"
        axis.text(column, row, text, ha="center", va="center", fontsize=9, bbox={"boxstyle": "round", "fc": "white"})
    axis.set(xlim=(-0.6, 7.2), ylim=(-0.5, 2.5), title="values from left to right, gradients from right to left")
    axis.axis("off")
    save_figure(figure, arguments.out / "figure.png")
    difference = max(abs(gradients[name] - engine[name]) for name in values)
    claim(f"hand and engine agree (largest difference {difference:.1e})", difference < 1e-12)
    return difference


if __name__ == "__main__":
    main()
