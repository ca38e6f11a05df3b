"""Weight decay, drawn: where the pull of the loss and the pull to zero are in balance.

A loss of two weights, w -> (w - w0)^T A (w - w0) / 2. With weight decay d, SGD ends where A (w - w0) = -d w: at
(A + d)^-1 A w0. There the contour of the loss touches a circle around 0. As d grows the end moves along a curve to 0: not
straight, since the weight that the loss cares less about gives way first.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from common import claim, host, options, save_figure, start

import tinygrad_norm as tn
from tinygrad_norm import optim

A = np.array([[1.5, 0.4], [0.4, 0.3]])
W0 = np.array([1.5, 2.0])
DECAYS = (0.0, 0.1, 0.3, 1.0, 3.0)


def by_descent(decay: float, steps: int, lr: float = 0.2) -> np.ndarray:
    """Where SGD with weight decay ends."""
    w = tn.zeros(2, dtype=tn.float64, requires_grad=True)
    optimizer, a, w0 = optim.SGD([w], lr, weight_decay=decay), tn.tensor(A), tn.tensor(W0)
    for _ in range(steps):
        optimizer.zero_grad()
        ((w - w0) @ a @ (w - w0) / 2).backward()
        optimizer.step()
    return host(w).copy()


def by_hand(decay: float) -> np.ndarray:
    """(A + d)^-1 A w0."""
    return np.linalg.solve(A + decay * np.eye(2), A @ W0)


def loss(w: np.ndarray) -> np.ndarray:
    """Of points (..., 2)."""
    return np.einsum("...i,ij,...j->...", w - W0, A, w - W0) / 2


def main(argv: list[str] | None = None) -> dict[float, np.ndarray]:
    """Descend with each decay, and draw where it ends."""
    arguments = start(options(__doc__.splitlines()[0], iterations=2000, out="runs/16_weight_decay_drawn"), argv)
    steps = 200 if arguments.quick else arguments.iterations
    found = {decay: by_descent(decay, steps) for decay in DECAYS}
    figure, axis = plt.subplots(figsize=(6.4, 5.4))
    across, up = np.meshgrid(np.linspace(-0.5, 3, 200), np.linspace(-0.5, 3, 200))
    surface = loss(np.stack([across, up], axis=-1))
    axis.contour(
        across, up, surface, levels=sorted(loss(w) for w in found.values() if loss(w) > 1e-6), colors="C0", linewidths=1
    )
    turn = np.linspace(0, 2 * np.pi, 100)
    for decay, w in found.items():
        axis.plot(np.linalg.norm(w) * np.cos(turn), np.linalg.norm(w) * np.sin(turn), color="C1", lw=0.8, ls="--")
        axis.plot(*w, "ko", ms=5)
        axis.annotate(f"d = {decay:g}", w, xytext=(7, 3), textcoords="offset points")
    curve = np.array([by_hand(d) for d in np.logspace(-3, 3, 200)])
    axis.plot(*curve.T, color="k", lw=1, ls="-")
    axis.plot(0, 0, "k+", ms=10)
    axis.set(xlim=(-0.5, 3), ylim=(-0.5, 3), aspect="equal", xlabel="first weight", ylabel="second weight")
    axis.set_title("where SGD ends: contours of the loss touch circles around 0")
    axis.grid(visible=False)
    save_figure(figure, arguments.out / "figure.png")
    error = max(float(abs(w - by_hand(decay)).max()) for decay, w in found.items())
    first, second = by_hand(0.3) / W0
    print(
        f"SGD and the formula differ by {error:.1e}; d = 0.3 leaves {first:.0%} of the first weight, {second:.0%} of the second"
    )
    claim("SGD with weight decay ends where the formula says", error < 1e-6)
    claim("the weight that matters less to the loss gives way first", bool(second < first))
    return found


if __name__ == "__main__":
    main()
