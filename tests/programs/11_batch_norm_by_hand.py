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


def batch_norm(X, gamma, beta, moving_mean, moving_var, eps, momentum):
    if not torch.is_grad_enabled():
        X_hat = (X - moving_mean) / torch.sqrt(moving_var + eps)
    else:
        assert len(X.shape) in (2, 4)
        if len(X.shape) == 2:
            mean = X.mean(dim=0)
            var = ((X - mean) ** 2).mean(dim=0)
        else:
            mean = X.mean(dim=(0, 2, 3), keepdim=True)
            var = ((X - mean) ** 2).mean(dim=(0, 2, 3), keepdim=True)
        X_hat = (X - mean) / torch.sqrt(var + eps)
        moving_mean = (1.0 - momentum) * moving_mean + momentum * mean
        moving_var = (1.0 - momentum) * moving_var + momentum * var
    return gamma * X_hat + beta, moving_mean.data, moving_var.data


class BatchNorm(nn.Module):
    def __init__(self, num_features, num_dims):
        super().__init__()
        shape = (1, num_features) if num_dims == 2 else (1, num_features, 1, 1)
        self.gamma = nn.Parameter(torch.ones(shape))
        self.beta = nn.Parameter(torch.zeros(shape))
        self.moving_mean = torch.zeros(shape)
        self.moving_var = torch.ones(shape)

    def forward(self, X):
        if self.moving_mean.device != X.device:
            self.moving_mean = self.moving_mean.to(X.device)
        Y, self.moving_mean, self.moving_var = batch_norm(
            X, self.gamma, self.beta, self.moving_mean, self.moving_var, eps=1e-5, momentum=0.1
        )
        return Y


net = nn.Sequential(
    nn.Conv2d(1, 4, 3), BatchNorm(4, 4), nn.Sigmoid(), nn.Flatten(), nn.Linear(64, 8), BatchNorm(8, 2), nn.Linear(8, 3)
)
X = torch.tensor(rng.random((7, 1, 6, 6)), dtype=torch.float32)
losses = train(net, X, torch.tensor(rng.integers(0, 3, 7)), lr=0.5)
losses += net[1].gamma.reshape((-1,)).tolist() + net[1].moving_mean.reshape(-1).tolist()
