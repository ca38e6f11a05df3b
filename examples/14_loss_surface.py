"""The loss around a trained net, along two random directions, with and without batch norm.

A point in the plane is the trained net plus a times one direction plus b times another. The directions are random, and each row
of a weight matrix in them is as long as the net's own row: else a net with larger weights would look flatter. Li et al. 2018,
"Visualizing the Loss Landscape of Neural Nets", arXiv:1712.09913. The norm is that of the batch, as in training.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from common import claim, options, save_figure, start, train_on_digits

import tinygrad_norm as tn
from tinygrad_norm import nn
from tinygrad_norm.data import digits

DEEP = 8


def make_net(norm: bool, width: int = 64) -> nn.Sequential:
    """64 pixels, eight hidden layers, ten classes."""
    layers: list[nn.Module] = [nn.Flatten()]
    for i in range(DEEP):
        linear = nn.Linear(64 if i == 0 else width, width)
        nn.init.kaiming_normal_(linear.weight)
        layers += [linear, *([nn.BatchNorm1d(width)] if norm else []), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def train(norm: bool, epochs: int, lr: float) -> nn.Sequential:
    """A net on the digits."""
    net = make_net(norm)
    train_on_digits(net, epochs, lr, drop_last=True)
    return net


def direction(net: nn.Module) -> list[tn.Tensor]:
    """A random direction whose rows are as long as those of the weights; 0 for biases and what norms have."""
    found = []
    for p in net.parameters():
        d = tn.randn_like(p)
        found.append(d * (p.norm(dim=1, keepdim=True) / d.norm(dim=1, keepdim=True)) if p.ndim > 1 else d * 0)
    return [d.detach() for d in found]


@tn.no_grad()
def surface(net: nn.Module, points: int, reach: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Where it was looked, and the loss at (a, b) there, on 512 digits."""
    x, y = (t[:512] for t in digits(train=True).tensors)
    at, d, e = np.linspace(-reach, reach, points), direction(net), direction(net)
    home, losses = [p.clone() for p in net.parameters()], np.empty((points, points))
    for i, b in enumerate(at):
        for j, a in enumerate(at):
            for p, begin, along, across in zip(net.parameters(), home, d, e):
                p.copy_(begin + along * float(a) + across * float(b))
            losses[i, j] = nn.functional.cross_entropy(net(x), y).item()
    for p, begin in zip(net.parameters(), home):
        p.copy_(begin)
    return at, losses


def main(argv: list[str] | None = None) -> dict[str, np.ndarray]:
    """Train both, and draw the loss around them."""
    arguments = start(options(__doc__.splitlines()[0], epochs=10, lr=0.02, out="runs/14_loss_surface"), argv)
    epochs, points = (1, 5) if arguments.quick else (arguments.epochs, 25)
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), sharey=True)
    found = {}
    for axis, (title, norm) in zip(axes, (("no norm", False), ("batch norm", True))):
        at, losses = surface(train(norm, epochs, arguments.lr), points)
        found[title] = losses
        drawn = axis.contourf(at, at, np.log10(losses + 1e-6), levels=np.linspace(-3.5, 3.5, 29), cmap="viridis", extend="both")
        lines = axis.contour(at, at, losses, levels=[0.1, 1, 2.3, 10, 100], colors="w", linewidths=0.8)
        axis.clabel(lines, fmt="%g")
        axis.set(title=f"{DEEP} hidden layers, {title}", xlabel="first direction", aspect="equal")
        axis.grid(visible=False)
    axes[0].set_ylabel("second direction")
    figure.colorbar(drawn, ax=axes, label="log10 of the training loss", ticks=range(-3, 4))
    save_figure(figure, arguments.out / "figure.png")
    wide = {title: float((losses < 1).mean()) for title, losses in found.items()}
    worst = {title: float(losses.max()) for title, losses in found.items()}
    for title in found:
        print(f"{title:10}: the loss is below 1 on {wide[title]:.0%} of the square, and at most {worst[title]:.3g}")
    claim(
        "with batch norm the loss stays within sight: its largest is less than a tenth",
        worst["batch norm"] < worst["no norm"] / 10,
    )
    claim("with batch norm the valley, where the loss is below 1, is wider", wide["batch norm"] > wide["no norm"])
    return found


if __name__ == "__main__":
    main()
