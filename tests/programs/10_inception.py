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


class Inception(nn.Module):
    def __init__(self, c1, c2, c3, c4, **kwargs):
        super().__init__(**kwargs)
        self.b1_1 = nn.LazyConv2d(c1, kernel_size=1)
        self.b2_1 = nn.LazyConv2d(c2[0], kernel_size=1)
        self.b2_2 = nn.LazyConv2d(c2[1], kernel_size=3, padding=1)
        self.b3_1 = nn.LazyConv2d(c3[0], kernel_size=1)
        self.b3_2 = nn.LazyConv2d(c3[1], kernel_size=5, padding=2)
        self.b4_1 = nn.MaxPool2d(kernel_size=3, stride=1, padding=1)
        self.b4_2 = nn.LazyConv2d(c4, kernel_size=1)

    def forward(self, x):
        b1 = F.relu(self.b1_1(x))
        b2 = F.relu(self.b2_2(F.relu(self.b2_1(x))))
        b3 = F.relu(self.b3_2(F.relu(self.b3_1(x))))
        b4 = F.relu(self.b4_2(self.b4_1(x)))
        return torch.cat((b1, b2, b3, b4), dim=1)


net = nn.Sequential(Inception(2, (2, 3), (2, 2), 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(5))
X = torch.tensor(rng.random((4, 3, 9, 9)), dtype=torch.float32)
losses = train(net, X, torch.tensor(rng.integers(0, 5, 4)))
