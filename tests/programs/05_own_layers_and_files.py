import os
import tempfile

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

rng = np.random.default_rng(4)


class CenteredLayer(nn.Module):
    def __init__(self):
        super().__init__()

    def forward(self, X):
        return X - X.mean()


class MyLinear(nn.Module):
    def __init__(self, in_units, units):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(rng.normal(size=(in_units, units)), dtype=torch.float32))
        self.bias = nn.Parameter(torch.zeros(units))

    def forward(self, X):
        linear = torch.matmul(X, self.weight.data) + self.bias.data
        return F.relu(linear)


class FixedHidden(nn.Module):
    def __init__(self):
        super().__init__()
        self.rand_weight = torch.tensor(rng.normal(size=(4, 4)), dtype=torch.float32)
        self.linear = MyLinear(6, 4)

    def forward(self, X):
        X = self.linear(X)
        X = F.relu(X @ self.rand_weight + 1)
        while X.abs().sum() > 1:
            X /= 2
        return X.sum()


x = torch.tensor(rng.normal(size=(2, 6)), dtype=torch.float32)
net = nn.Sequential(MyLinear(6, 4), CenteredLayer())
losses = [net(x).abs().sum().item(), FixedHidden()(x).item()]
folder = tempfile.mkdtemp()
torch.save([x, x + 1], os.path.join(folder, "x-files"))
x2, y2 = torch.load(os.path.join(folder, "x-files"))
torch.save({"x": x, "y": y2}, os.path.join(folder, "mydict"))
torch.save(net.state_dict(), os.path.join(folder, "net.params"))
clone = nn.Sequential(MyLinear(6, 4), CenteredLayer())
clone.load_state_dict(torch.load(os.path.join(folder, "net.params")))
clone.eval()
assert (clone(x) == net(x)).all()
losses += [float((x2 == x).sum()), torch.load(os.path.join(folder, "mydict"))["y"].sum().item()]
