import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def fill(net):
    """The same weights in every library."""
    rng = np.random.default_rng(0)
    for p in net.parameters():
        p.data = torch.tensor(rng.normal(size=tuple(p.shape)) * 0.2, dtype=torch.float32)


def train(net, X, y, steps=4, lr=0.05):
    net.eval()
    with torch.no_grad():
        net(X)
    fill(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=lr)
    losses = []
    for _ in range(steps):
        net.train()
        l = F.cross_entropy(net(X), y)
        optimizer.zero_grad()
        l.backward()
        optimizer.step()
        losses.append(l.item())
    net.eval()
    return losses + [F.cross_entropy(net(X), y).item()]


rng = np.random.default_rng(5)
net = nn.Sequential(
    nn.LazyConv2d(6, kernel_size=5, padding=2), nn.Sigmoid(),
    nn.AvgPool2d(kernel_size=2, stride=2),
    nn.LazyConv2d(16, kernel_size=5), nn.Sigmoid(),
    nn.AvgPool2d(kernel_size=2, stride=2),
    nn.Flatten(),
    nn.LazyLinear(120), nn.Sigmoid(),
    nn.LazyLinear(84), nn.Sigmoid(),
    nn.LazyLinear(10),
)  # fmt: skip
X = torch.tensor(rng.random((8, 1, 28, 28)), dtype=torch.float32)
losses = train(net, X, torch.tensor(rng.integers(0, 10, 8)), lr=0.9)
for layer in net:
    X = layer(X)
    losses.append(float(X.shape[-1]))
