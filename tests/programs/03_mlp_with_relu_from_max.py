import numpy as np
import torch
from torch import nn

rng = np.random.default_rng(2)


def normal(*shape):
    return torch.tensor(rng.normal(size=shape) * 0.3, dtype=torch.float32)


W1, b1 = nn.Parameter(normal(12, 16)), nn.Parameter(torch.zeros(16))
W2, b2 = nn.Parameter(normal(16, 4)), nn.Parameter(torch.zeros(4))
params = [W1, b1, W2, b2]


def relu(X):
    a = torch.zeros_like(X)
    return torch.max(X, a)


X, y = normal(40, 12), torch.tensor(rng.integers(0, 4, size=40))
criterion, updater = nn.CrossEntropyLoss(reduction="none"), torch.optim.SGD(params, lr=0.4)
losses = []
for _ in range(8):
    H = relu(X.reshape((-1, 12)) @ W1 + b1)
    loss = criterion(H @ W2 + b2, y)
    updater.zero_grad()
    loss.mean().backward()
    updater.step()
    losses.append(float(loss.sum()) / y.numel())
