"""A user's program, for type checkers: test_types.py has mypy and pyright look at it in strict mode."""

from __future__ import annotations

from typing import Any, assert_type

import numpy as np

import tinygrad_norm as tn
from tinygrad_norm import data, nn, optim


class Net(nn.Module):
    def __init__(self, hidden: int = 16) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, hidden), nn.LayerNorm(hidden), nn.ReLU(), nn.Linear(hidden, 10))

    def forward(self, x: tn.Tensor) -> tn.Tensor:
        y: tn.Tensor = self.layers(x.flatten(1))
        return y


x = tn.randn(3, 4, requires_grad=True)
assert_type(x, tn.Tensor)
assert_type(x.sum(), tn.Tensor)
assert_type(tn.exp(x), tn.Tensor)
assert_type(x + 1, tn.Tensor)
assert_type(2 * x, tn.Tensor)
assert_type(x @ x.T, tn.Tensor)
assert_type(-x, tn.Tensor)
assert_type(x[0], tn.Tensor)
assert_type(x.mean(1, keepdim=True), tn.Tensor)
assert_type(x.sum(axis=0, keepdims=True), tn.Tensor)
assert_type(tn.argmax(x, axis=1), tn.Tensor)
assert_type(x.topk(2).values, tn.Tensor)
assert_type(x.add_(1), tn.Tensor)
assert_type(x.numel(), int)
assert_type(x.detach().numpy(), np.ndarray)
assert_type(x.requires_grad, bool)
assert_type(tn.cat([x, x], dim=1), tn.Tensor)
assert_type(len(x), int)
assert_type(float(x.sum()), float)
assert_type(nn.functional.relu(x), tn.Tensor)
assert_type(tn.is_grad_enabled(), bool)


@tn.no_grad()
def accuracy(net: Net, images: tn.Tensor, labels: tn.Tensor) -> float:
    right: tn.Tensor = net(images).argmax(1) == labels
    return float(right.float().mean())


def train(epochs: int) -> float:
    net = Net()
    optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    images, labels = data.digits(train=False).tensors
    for _ in range(epochs):
        for images, labels in data.DataLoader(data.digits(train=True), batch_size=64, shuffle=True):
            loss = nn.functional.cross_entropy(net(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return accuracy(net, images, labels)


@tn.op
def cube(x: Any) -> Any:
    return x * x * x


cube.vjp(x=lambda g, x: 3 * x * x * g)
assert_type(cube(x), tn.Tensor)
(g,) = tn.grad((x * x).sum(), [x])
