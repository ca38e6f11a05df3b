"""Derivatives of derivatives: backward(create_graph=True) records the backward pass as well.

First a function and its derivatives, each the gradient of the one before. Then Newton's method on Rosenbrock's
valley, which needs the matrix of second derivatives: its rows are the gradients of the entries of the gradient.
Rosenbrock 1960, The Computer Journal 3(3).
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from common import claim, host, label_lines, options, save_figure, start

import tinygrad_norm as tn


def derivatives(f, x: tn.Tensor, highest: int) -> list[tn.Tensor]:
    """f(x) and its derivatives up to order `highest`, element by element."""
    values = [f(x)]
    for _ in range(highest):
        values += tn.autograd.grad(values[-1].sum(), x, create_graph=True)
    return values


def rosenbrock(p: tn.Tensor) -> tn.Tensor:
    """(1 - x)**2 + 100 (y - x**2)**2: a bent valley with its minimum 0 at (1, 1)."""
    return (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2


def hessian(f, p: tn.Tensor) -> tuple[tn.Tensor, tn.Tensor]:
    """The gradient of f at p, and the matrix of its second derivatives."""
    (g,) = tn.autograd.grad(f(p), p, create_graph=True)
    rows = [tn.autograd.grad(g[i], p, retain_graph=True)[0] for i in range(p.numel())]
    return g.detach(), tn.stack(rows)


def newton(p: tn.Tensor, steps: int) -> list[np.ndarray]:
    """The points that p - H^-1 g visits."""
    path = [host(p)]
    for _ in range(steps):
        g, h = hessian(rosenbrock, p)
        p = tn.tensor(host(p) - np.linalg.solve(host(h), host(g)), requires_grad=True)
        path.append(host(p))
    return path


def descent(p: tn.Tensor, steps: int, lr: float = 1e-3) -> list[np.ndarray]:
    """The points that gradient descent visits."""
    path = [host(p)]
    for _ in range(steps):
        (g,) = tn.autograd.grad(rosenbrock(p), p)
        p = (p - lr * g).detach().requires_grad_()
        path.append(host(p))
    return path


def main(argv: list[str] | None = None) -> dict[str, float]:
    """Print and draw both."""
    arguments = start(options(__doc__.splitlines()[0], out="runs/10_second_derivatives"), argv)
    x = tn.linspace(-3, 3, 201, dtype=tn.float64).requires_grad_()
    values = derivatives(tn.tanh, x, 3)
    t = np.tanh(host(x))
    exact = (t, 1 - t**2, -2 * t * (1 - t**2), (1 - t**2) * (6 * t**2 - 2))
    error = max(abs(host(v) - e).max() for v, e in zip(values, exact))

    begin = tn.tensor([-1.2, 1.0], dtype=tn.float64, requires_grad=True)
    steps = 6
    paths = {"Newton's method": newton(begin, steps), "gradient descent": descent(begin, 300)}
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
    for v, label in zip(values, ("tanh", "first", "second", "third derivative")):
        left.plot(host(x), host(v), label=label)
    grid = np.meshgrid(np.linspace(-1.6, 1.4, 200), np.linspace(-3.4, 2, 200))
    valley = (1 - grid[0]) ** 2 + 100 * (grid[1] - grid[0] ** 2) ** 2
    right.contour(*grid, valley, levels=np.logspace(-0.5, 3.5, 12), colors="0.8", linewidths=1)
    for label, path in paths.items():
        right.plot(*np.array(path).T, marker="o" if len(path) < 10 else "", label=f"{label}, {len(path) - 1} steps")
    right.plot(1, 1, "k*", ms=12, label="minimum")
    left.set(title="tanh and its derivatives", xlabel="x")
    label_lines(left)
    right.grid(visible=False)
    right.set(title="Rosenbrock's valley", xlabel="x", ylabel="y")
    right.legend()
    save_figure(figure, arguments.out / "figure.png")
    distance = {name: float(np.linalg.norm(path[-1] - 1)) for name, path in paths.items()}
    for name, d in distance.items():
        print(f"{name}: {d:.1e} from the minimum after {len(paths[name]) - 1} steps")
    claim(f"three derivatives of tanh are exact (largest error {error:.1e})", error < 1e-12)
    claim(f"Newton's method arrives within {steps} steps", distance["Newton's method"] < 1e-6)
    return {"error": error, **distance}


if __name__ == "__main__":
    main()
