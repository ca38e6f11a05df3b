"""The chain rule by hand: what `backward` does, on a graph small enough to follow with a pencil.

    loss = (tanh(w * x + b) - target)**2

Forward, each step is computed from the one before. Backward, from the loss to the inputs, each gradient is the
gradient of the next step times one local derivative. That is all there is to it; an engine only keeps the list.
"""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib.pyplot as plt
from common import claim, options, save_figure, start

import tinygrad_norm as tn

STEPS = ("x", "w", "b", "u = w x", "v = u + b", "a = tanh(v)", "d = a - target", "loss = d²")


def by_hand(x: float, w: float, b: float, target: float) -> tuple[dict[str, float], ...]:
    """The values of all steps, and for each the local derivative of what it goes into, and dloss/d of it."""
    u = w * x
    v = u + b
    a = math.tanh(v)
    d = a - target
    loss = d * d

    # what a step changes when this one changes: a product by the other factor, a sum by as much, and so on
    local = {"x": w, "w": x, "b": 1.0, "u": 1.0, "v": 1 - a * a, "a": 1.0, "d": 2 * d}

    g_loss = 1.0
    g_d = g_loss * local["d"]
    g_a = g_d * local["a"]
    g_v = g_a * local["v"]
    g_u = g_v * local["u"]
    g_b = g_v * local["b"]
    g_w = g_u * local["w"]
    g_x = g_u * local["x"]
    values = dict(zip(STEPS, (x, w, b, u, v, a, d, loss)))
    return values, dict(zip(STEPS, local.values())), dict(zip(STEPS, (g_x, g_w, g_b, g_u, g_v, g_a, g_d, g_loss)))


def by_engine(x: float, w: float, b: float, target: float) -> dict[str, tn.Tensor]:
    """All steps, with the same gradients in their .grad: from the graph that the operations left."""
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
    return dict(zip(STEPS, leaves + steps))


def draw(path: Path, steps: dict[str, tn.Tensor], values: dict, local: dict, gradients: dict) -> None:
    """The engine's graph, walked from the loss as backward does it; at each arrow, the local derivative."""
    names = {id(t if t.is_leaf else t.grad_fn): name for name, t in steps.items()}
    place, column = {}, [steps["loss = d²"].grad_fn]
    figure, axis = plt.subplots(figsize=(12, 2.8))
    for x in range(len(STEPS), 0, -1):
        for at, y in zip(column, (0.5, -0.5) if len(column) > 1 else (0.0,)):
            name = names[id(at)]
            place[name] = (x, y)
            text = f"{name}\nvalue {values[name]:.3f}\ngradient {gradients[name]:.3f}"
            axis.text(x, y, text, ha="center", va="center", fontsize=8, bbox={"boxstyle": "round", "fc": "white"})
        column = [getattr(f, "variable", f) for at in column for f, _ in getattr(at, "next_functions", ()) if f is not None]
    for end, step in steps.items():
        for f, _ in step.grad_fn.next_functions if step.grad_fn else ():
            if f is not None:
                start_ = names[id(getattr(f, "variable", f))]
                axis.annotate("", place[end], place[start_], arrowprops={"arrowstyle": "->", "shrinkA": 40, "shrinkB": 40})
                x, y = ((a + b) / 2 for a, b in zip(place[start_], place[end]))
                axis.text(x, y + 0.1, f"* {local[start_]:.3g}", ha="center", fontsize=8, color="C1")
    axis.set(xlim=(min(x for x, _ in place.values()) - 0.4, len(STEPS) + 0.4), ylim=(-0.85, 0.85))
    axis.set_title("values from left to right; gradients from right to left, times the local derivative at each arrow")
    axis.axis("off")
    save_figure(figure, path)


def main(argv: list[str] | None = None) -> float:
    """Print both and draw the graph; returns the largest difference."""
    arguments = start(options(__doc__.splitlines()[0], out="runs/01_chain_rule"), argv)
    point = {"x": 1.5, "w": -0.4, "b": 0.9, "target": 0.8}
    values, local, gradients = by_hand(**point)
    steps = by_engine(**point)
    engine = {name: step.grad.item() for name, step in steps.items()}
    print(f"{'step':16} {'value':>9} {'dloss/d, by hand':>17} {'by the engine':>14}")
    for name, value in values.items():
        print(f"{name:16} {value:9.4f} {gradients[name]:17.6f} {engine[name]:14.6f}")
    draw(arguments.out / "figure.png", steps, values, local, gradients)
    difference = max(abs(gradients[name] - engine[name]) for name in values)
    claim(f"hand and engine agree (largest difference {difference:.1e})", difference < 1e-12)
    return difference


if __name__ == "__main__":
    main()
