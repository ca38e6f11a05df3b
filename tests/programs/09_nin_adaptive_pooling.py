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


def nin_block(out_channels, kernel_size, strides, padding):
    return nn.Sequential(
        nn.LazyConv2d(out_channels, kernel_size, strides, padding), nn.ReLU(),
        nn.LazyConv2d(out_channels, kernel_size=1), nn.ReLU(),
        nn.LazyConv2d(out_channels, kernel_size=1), nn.ReLU(),
    )  # fmt: skip


net = nn.Sequential(
    nin_block(8, kernel_size=5, strides=2, padding=0), nn.MaxPool2d(3, stride=2),
    nin_block(10, kernel_size=3, strides=1, padding=1), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(),
)  # fmt: skip
X = torch.tensor(rng.random((6, 2, 20, 20)), dtype=torch.float32)
losses = train(net, X, torch.tensor(rng.integers(0, 10, 6)))
losses.append(nn.AdaptiveAvgPool2d(3)(X).square().sum().item())
