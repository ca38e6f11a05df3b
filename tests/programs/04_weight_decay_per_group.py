import numpy as np
import torch
from torch import nn

rng = np.random.default_rng(3)
X = torch.tensor(rng.normal(size=(20, 30)), dtype=torch.float32)
y = torch.tensor(rng.normal(size=(20, 1)), dtype=torch.float32)
net = nn.Sequential(nn.Linear(30, 1))
for param in net.parameters():
    param.data.fill_(0.1)
criterion = nn.MSELoss(reduction="none")
trainer = torch.optim.SGD([{"params": net[0].weight, "weight_decay": 3.0}, {"params": net[0].bias}], lr=0.003)
losses = []
for _ in range(10):
    trainer.zero_grad()
    loss = criterion(net(X), y)
    loss.mean().backward()
    trainer.step()
    losses.append(net[0].weight.norm().item())
losses += [loss.mean().item(), (torch.sum(net[0].weight.pow(2)) / 2).item()]
