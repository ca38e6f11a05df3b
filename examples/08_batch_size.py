"""Batch norm and the size of the batch: the moments of few examples are noisy.

The same net of five layers for a fixed number of epochs on digits, with and without batch norm, with batches of 4 to
256. Small batches mean more steps, but noisier moments; large ones mean few steps, of which batch norm makes more.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from common import band, claim, label_lines, options, save_figure, start
from tqdm import tqdm

from tinygrad_norm import nn, optim
from tinygrad_norm.data import DataLoader, digits

SIZES = (4, 16, 64, 256)


def make_net(norm: bool, width: int = 100, hidden: int = 4) -> nn.Sequential:
    """64 pixels, four hidden layers, ten classes."""
    layers: list[nn.Module] = [nn.Flatten()]
    for i in range(hidden):
        layers += [nn.Linear(64 if i == 0 else width, width), *([nn.BatchNorm1d(width)] if norm else []), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def train(norm: bool, batch_size: int, epochs: int, lr: float) -> tuple[float, float]:
    """Training and validation accuracy."""
    net = make_net(norm)
    train_set, test_set = digits(train=True), digits(train=False)
    optimizer = optim.SGD(net.parameters(), lr)
    for _ in range(epochs):
        for x, y in DataLoader(train_set, batch_size, shuffle=True, drop_last=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()
    net.eval()
    sets = (train_set.tensors, test_set.tensors)
    return tuple((net(x).argmax(1) == y).float().mean().item() for x, y in sets)  # type: ignore[return-value]


def main(argv: list[str] | None = None) -> dict[tuple[bool, int], np.ndarray]:
    """Train all, several times each, print and draw the accuracies."""
    parser = options(__doc__.splitlines()[0], epochs=5, lr=0.05, runs=3, out="runs/08_batch_size")
    arguments = start(parser, argv)
    sizes = SIZES[1:] if arguments.quick else SIZES
    epochs, runs = (1, 1) if arguments.quick else (arguments.epochs, arguments.runs)
    kinds = [(norm, size) for size in sizes for norm in (True, False)]
    found = {kind: np.array([train(*kind, epochs, arguments.lr) for _ in range(runs)]) for kind in tqdm(kinds, leave=False)}
    print(f"after {epochs} epochs at learning rate {arguments.lr}, mean of {runs} runs: validation (training) accuracy")
    print(f"{'batch size':>12} {'batch norm':>18} {'no norm':>18}")
    mean = {kind: accuracies.mean(0) for kind, accuracies in found.items()}
    for size in sizes:
        row = [f"{mean[norm, size][1]:.1%} ({mean[norm, size][0]:.1%})" for norm in (True, False)]
        print(f"{size:12} {row[0]:>18} {row[1]:>18}")

    figure, axis = plt.subplots(figsize=(5, 3.6))
    for norm, label in ((True, "batch norm"), (False, "no norm")):
        band(axis, sizes, np.array([found[norm, size][:, 1] for size in sizes]).T, label, marker="o")
    axis.set_xscale("log", base=2)
    axis.set(
        xlabel="batch size", ylabel="validation accuracy", title=f"digits, {epochs} epochs: median and range of {runs} runs"
    )
    axis.set_xticks(sizes, [str(size) for size in sizes])
    label_lines(axis)
    save_figure(figure, arguments.out / "figure.png")
    gain = {size: mean[True, size][1] - mean[False, size][1] for size in sizes}
    claim(f"batch norm gains more with batches of {sizes[-1]} than of {sizes[0]}", gain[sizes[-1]] > gain[sizes[0]])
    claim(f"with batches of {sizes[0]}, batch norm is worse than none", gain[sizes[0]] < 0)
    return found


if __name__ == "__main__":
    main()
