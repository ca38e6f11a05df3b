import numpy as np
import torch
from torch import nn
from torch.utils import data

rng = np.random.default_rng(1)
X = torch.tensor(rng.normal(size=(96, 1, 6, 6)), dtype=torch.float32)
y = torch.tensor(rng.integers(0, 10, 96))
net = nn.Sequential(nn.Flatten(), nn.LazyLinear(10))
net(X[:2])


def init_weights(m):
    if type(m) == nn.Linear:
        nn.init.constant_(m.weight, 0.01)
        nn.init.zeros_(m.bias)


net.apply(init_weights)
trainer = torch.optim.SGD(net.parameters(), lr=0.5)
losses = []
for epoch in range(3):
    net.train()
    for xb, yb in data.DataLoader(data.TensorDataset(X, y), batch_size=32, num_workers=0):
        loss = nn.functional.cross_entropy(net(xb), yb, reduction="none")
        trainer.zero_grad()
        loss.mean().backward()
        trainer.step()
    net.eval()
    with torch.no_grad():
        y_hat = net(X)
        correct = (y_hat.argmax(axis=1).type(y.dtype) == y).type(torch.float32)
        losses += [nn.functional.cross_entropy(y_hat, y).item(), float(correct.mean())]
