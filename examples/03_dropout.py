"""Dropout: the ten points again, and then how much to drop, on digits.

Dropout(p) sets each element to zero with probability p in training and divides the others by 1 - p, so that in
evaluation nothing is left to do: call .eval() to predict and .train() to go on. First the net of 02 with p = 0 and
p = 0.5; then a net of two layers on few digits, with several p: accuracy on the training and on the validation set.
"""

from __future__ import annotations

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
from common import band, claim, draw_fits, line_with_noise, mlp, options, save_figure, start, train_side_by_side

import tinygrad_norm as tn
from tinygrad_norm import nn, optim
from tinygrad_norm.data import digits
from tinygrad_norm.tensorboard import SummaryWriter

RATES = (0.0, 0.25, 0.5, 0.75)


def on_a_line(points: tuple, iterations: int, lr: float, momentum: float, show: Callable | None = None) -> dict[str, dict]:
    """The nets with p = 0 and p = 0.5: losses in evaluation mode, and how much the inner weights spread after / before."""
    x, y, test_x, test_y = points
    nets = {"p = 0": mlp(dropout=0.0), "p = 0.5": mlp(dropout=0.5)}
    before = {name: net[3].weight.detach().std().item() for name, net in nets.items()}
    optimizers = {name: optim.SGD(net.parameters(), lr, momentum) for name, net in nets.items()}
    train_side_by_side(nets, optimizers, x, y, iterations, show)
    criterion, results = nn.MSELoss(), {}
    for name, net in nets.items():
        net.eval()
        results[name] = {"train": criterion(net(x), y).item(), "test": criterion(net(test_x), test_y).item()}
        results[name]["spread"] = net[3].weight.detach().std().item() / before[name]
    return results


def on_digits(rate: float, epochs: int, examples: int = 200) -> tuple[float, float]:
    """Accuracy on the training and on the validation set of a net of two layers."""
    (x, y), (test_x, test_y) = digits(train=True).tensors, digits(train=False).tensors
    x, y = x[:examples], y[:examples]
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 500), nn.ReLU(), nn.Dropout(rate), nn.Linear(500, 10))
    optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    for _ in range(epochs):
        for rows in tn.randperm(examples).split(50):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
    net.eval()
    return tuple((net(a).argmax(1) == b).float().mean().item() for a, b in ((x, y), (test_x, test_y)))  # type: ignore[return-value]


def main(argv: list[str] | None = None) -> dict[str, dict]:
    """Train, log, draw, and look at the claims."""
    parser = options(
        __doc__.splitlines()[0], iterations=2000, every=400, epochs=30, runs=5, lr=0.01, momentum=0.9, out="runs/03_dropout"
    )
    arguments = start(parser, argv)
    iterations, epochs = (2 * arguments.every, 3) if arguments.quick else (arguments.iterations, arguments.epochs)
    points = line_with_noise()
    with SummaryWriter(str(arguments.out / "tensorboard")) as writer:

        def show(iteration: int, nets: dict, losses: dict) -> None:
            if iteration % arguments.every == 0:
                for name, net in nets.items():
                    writer.add_parameters(net.eval(), iteration, f"_{name.replace(' ', '')}")
                    losses[name] = nn.functional.mse_loss(net(points[0]), points[1]).item()  # without dropping
                last = "figure" if iteration == iterations else f"fit_{iteration:04}"
                draw_fits(arguments.out / f"{last}.png", points, nets, losses, f"iteration {iteration}")
                for net in nets.values():
                    net.train()

        results = on_a_line(points, iterations, arguments.lr, arguments.momentum, show)

    print(f"\n{'':8} {'train loss':>10} {'test loss':>10}   std of the second weight matrix, after / before")
    for name, r in results.items():
        print(f"{name:8} {r['train']:10.4f} {r['test']:10.4f}   {r['spread']:.2f}")
    free, dropped = results.values()
    claim("the training loss is higher with dropout", dropped["train"] > free["train"])
    claim("the test loss is lower with dropout", dropped["test"] < free["test"])
    claim("dropout shrinks the weights as decay does", dropped["spread"] < 0.5 * free["spread"])

    runs = 2 if arguments.quick else arguments.runs
    found = np.array([[on_digits(rate, epochs) for rate in RATES] for _ in range(runs)])  # (run, rate, which set)
    figure, axes = plt.subplots(2, 1, figsize=(5, 4.6), sharex=True)
    for axis, part, of_runs, color in zip(axes, ("training", "validation"), np.moveaxis(found, 2, 0), ("C0", "C1")):
        band(axis, RATES, of_runs, part, marker="o", color=color)
        middle = np.median(of_runs)
        axis.set(ylabel=f"{part} accuracy", xticks=RATES, ylim=(middle - 0.03, min(middle + 0.03, 1.003)))
    axes[1].set_xlabel("probability to drop")
    axes[0].set_title(f"200 digits, 500 hidden units:\nmedian and range of {runs} runs")
    save_figure(figure, arguments.out / "rates.png")
    for rate, (train, test), (_, spread) in zip(RATES, found.mean(0), np.ptp(found, axis=0)):
        print(f"digits, p = {rate:4}: training accuracy {train:.1%}, validation accuracy {test:.1%} in a range of {spread:.1%}")
    gain = found[:, 1:, 1].mean(0).max() - found[:, 0, 1].mean()
    claim("dropping lifts the validation accuracy by more than runs differ", gain > np.ptp(found[:, :, 1], axis=0).max())
    return results


if __name__ == "__main__":
    main()
