"""The walks of six small programs, each a page of its own: python examples/site/walks.py FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path

import tinygrad_norm as tn
from tinygrad_norm import data, nn


def chain_rule() -> tn.explorer.Page:
    """d = (a * b + a)**2: two paths lead to a, and their gradients are added."""
    a, b = tn.tensor(2.0, requires_grad=True), tn.tensor(-3.0, requires_grad=True)
    with tn.explore() as walk:
        c = a * b
        d = (c + a) ** 2
        d.backward()
    return walk


def broadcasting() -> tn.explorer.Page:
    """A row is added to a matrix and multiplied by a column: the gradient of each is summed to its shape."""
    x = tn.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
    row, column = tn.tensor([10.0, 20.0, 30.0], requires_grad=True), tn.tensor([[1.0], [-1.0]], requires_grad=True)
    with tn.explore() as walk:
        y = (x + row) * column
        y.sum().backward()
    return walk


def batch_norm_by_hand() -> tn.explorer.Page:
    """The formula of batch norm, op by op."""
    x = tn.tensor([[1.0, 10.0], [3.0, 30.0], [8.0, 20.0]], requires_grad=True)
    weight, bias = tn.tensor([1.0, 2.0], requires_grad=True), tn.zeros(2, requires_grad=True)
    with tn.explore() as walk:
        mean = x.mean(0)
        c = x - mean
        variance = (c * c).mean(0)
        y = c / (variance + 1e-5).sqrt() * weight + bias
        (y[0] * tn.tensor([1.0, 2.0])).sum().backward()
    return walk


def convolution() -> tn.explorer.Page:
    """An edge is found, and the loss asks where it came from."""
    image = tn.zeros(1, 1, 6, 6)
    image[:, :, :, 3:] = 1.0
    image.requires_grad_()
    kernel = tn.tensor([[[[-1.0, 1.0], [-1.0, 1.0]]]], requires_grad=True)
    with tn.explore() as walk:
        edges = nn.functional.conv2d(image, kernel).relu()
        edges.max().backward()
    return walk


def in_place() -> tn.explorer.Page:
    """A row is edited, and the matrix it is a view of gets another history."""
    x = tn.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    with tn.explore() as walk:
        y = x * 2
        row = y[0]
        row.mul_(10)
        (row * y).sum().backward()
    return walk


def lenet() -> tn.explorer.Page:
    """Sixteen digits through a LeNet with batch norm, and back."""
    tn.manual_seed(0)
    features = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2))
    net = nn.Sequential(features, nn.Flatten(), nn.Linear(96, 32), nn.ReLU(), nn.Linear(32, 10))
    images, labels = next(iter(data.DataLoader(data.digits(train=True), 16)))
    with tn.explore(names=net) as walk:
        loss = nn.functional.cross_entropy(net(images), labels)
        loss.backward()
    return walk


WALKS = (chain_rule, broadcasting, batch_norm_by_hand, convolution, in_place, lenet)


def write(folder: Path) -> None:
    """One file for each."""
    folder.mkdir(parents=True, exist_ok=True)
    for walk in WALKS:
        walk().save(folder / f"{walk.__name__}.html")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
