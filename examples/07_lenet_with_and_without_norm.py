"""LeNet with and without batch norm: how fast the loss falls.

Two LeNets on the bundled digits: with ReLU and maximum pooling on (3, 32, 32), where the one without norm is
initialised with kaiming_normal_; and that of Dive into Deep Learning, with sigmoid and mean pooling on (1, 28, 28),
xavier_uniform_ and a learning rate of 1. `lenet.py --data fashion-mnist --model d2l` is the latter's own data.
"""

from __future__ import annotations

import time

from common import LeNet, claim, curves, evaluate, options, start
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
    """Train the four nets and draw their losses."""
    parser = options(__doc__.splitlines()[0], epochs=10, batch_size=64, out="runs/07_lenet_with_and_without_norm")
    arguments = start(parser, argv)
    panels: dict[str, dict] = {}
    accuracies: dict[str, dict[str, float]] = {}
    for title, (model, lr) in NETS.items():
        for label, norm in (("batch norm", "batch"), ("no norm", "none")):
            epochs = 1 if arguments.quick else arguments.epochs
            losses, accuracy, rate = train(model, norm, lr, epochs, arguments.batch_size)
            panels.setdefault(title, {})[label] = losses
            accuracies.setdefault(title, {})[label] = accuracy
            last = sum(losses[-20:]) / len(losses[-20:])
            print(f"{title:24} {label:12} loss {last:.4f}  test accuracy {accuracy:.2%}  {rate:6.0f} examples/s")
    curves(arguments.out / "figure.png", panels, xlabel="step", ylabel="training loss")
    for title, both in panels.items():
        early = slice(0, len(both["no norm"]) // 2)
        faster = sum(both["batch norm"][early]) < sum(both["no norm"][early])
        claim(f"{title}: with batch norm the loss falls faster", faster)
        better = accuracies[title]["batch norm"] >= accuracies[title]["no norm"]
        claim(f"{title}: with batch norm the test accuracy is at least as high", better)
    return accuracies


if __name__ == "__main__":
    main()
