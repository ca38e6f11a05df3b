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


def conv_block(num_channels):
    return nn.Sequential(nn.LazyBatchNorm2d(), nn.ReLU(), nn.LazyConv2d(num_channels, kernel_size=3, padding=1))


class DenseBlock(nn.Module):
    def __init__(self, num_convs, num_channels):
        super().__init__()
        self.net = nn.Sequential(*[conv_block(num_channels) for _ in range(num_convs)])

    def forward(self, X):
        for blk in self.net:
            Y = blk(X)
            X = torch.cat((X, Y), dim=1)
        return X


net = nn.ModuleList(
    [DenseBlock(2, 4), nn.Sequential(nn.LazyConv2d(3, 1), nn.AvgPool2d(2, 2)), nn.Sequential(nn.Flatten(), nn.LazyLinear(4))]
)


class Net(nn.Module):
    def __init__(self, blocks):
        super().__init__()
        self.blocks = blocks

    def forward(self, X):
        for block in self.blocks:
            X = block(X)
        return X


X = torch.tensor(rng.random((5, 2, 8, 8)), dtype=torch.float32)
losses = train(Net(net), X, torch.tensor(rng.integers(0, 4, 5)))
