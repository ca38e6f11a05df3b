"""LeNet with and without batch norm: how fast the loss falls.

Two LeNets on the bundled digits: with ReLU and maximum pooling on (3, 32, 32), where the one without norm is
initialised with kaiming_normal_; and that of Dive into Deep Learning, with sigmoid and mean pooling on (1, 28, 28),
xavier_uniform_ and a learning rate of 1. `lenet.py --data fashion-mnist --model d2l` is the latter's own data.
"""

from __future__ import annotations

import time

import matplotlib.pyplot as plt
import numpy as np
from common import LeNet, band, claim, evaluate, label_lines, options, save_figure, smoothed, start
from tqdm import tqdm

from tinygrad_norm import nn, optim
from tinygrad_norm.data import DataLoader, digits

NETS = {  # model, learning rate
    "LeNet, ReLU": ("rgb", 0.01),
    "LeNet of d2l, sigmoid": ("d2l", 1.0),
}


def make_net(model: str, norm: str) -> LeNet:
    """A LeNet, with kaiming's initialisation where there are ReLUs and no norm."""
    net = LeNet(model, norm, 0.0)
    if norm == "none" and model != "d2l":
        for module in net.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight.data)
    return net


def train(model: str, norm: str, lr: float, epochs: int, batch_size: int = 64) -> tuple[list[float], float, float]:
    """The loss of each step; the test accuracy; the examples per second."""
    net, losses = make_net(model, norm), []
    loader = DataLoader(digits(train=True), batch_size, shuffle=True, drop_last=True)
    optimizer = optim.SGD(net.parameters(), lr)
    began = time.perf_counter()
    for _ in tqdm(range(epochs), f"{model}, {norm}", leave=False):
        for x, y in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    rate = len(losses) * batch_size / (time.perf_counter() - began)
    return losses, evaluate(net, digits(train=False))[1], rate


def main(argv: list[str] | None = None) -> dict[str, dict[str, float]]:
    """Train the four nets, several times each, and draw their losses."""
    parser = options(__doc__.splitlines()[0], epochs=10, batch_size=64, runs=3, out="runs/07_lenet_with_and_without_norm")
    arguments = start(parser, argv)
    epochs, runs = (1, 1) if arguments.quick else (arguments.epochs, arguments.runs)
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6))
    accuracies: dict[str, dict[str, float]] = {}
    for axis, (title, (model, lr)) in zip(axes, NETS.items()):
        losses: dict[str, np.ndarray] = {}
        for label, norm in (("batch norm", "batch"), ("no norm", "none")):
            found = [train(model, norm, lr, epochs, arguments.batch_size) for _ in range(runs)]
            losses[label] = np.array([of_steps for of_steps, _, _ in found])
            band(axis, smoothed(losses[label][0])[0], [smoothed(of_run)[1] for of_run in losses[label]], label)
            accuracies.setdefault(title, {})[label] = float(np.mean([accuracy for _, accuracy, _ in found]))
            last, rate = losses[label][:, -20:].mean(), np.median([rate for _, _, rate in found])
            print(
                f"{title:24} {label:12} loss {last:.4f}  test accuracy {accuracies[title][label]:.2%}  {rate:6.0f} examples/s"
            )
        axis.set(title=title, xlabel="step", ylabel="training loss, mean of 10 steps", yscale="log")
        label_lines(axis)
        early = slice(0, losses["no norm"].shape[1] // 2)
        faster = losses["batch norm"][:, early].mean() < losses["no norm"][:, early].mean()
        claim(f"{title}: with batch norm the loss falls faster", bool(faster))
        better = accuracies[title]["batch norm"] >= accuracies[title]["no norm"]
        claim(f"{title}: with batch norm the test accuracy is at least as high", better)
    save_figure(figure, arguments.out / "figure.png")
    return accuracies


if __name__ == "__main__":
    main()
