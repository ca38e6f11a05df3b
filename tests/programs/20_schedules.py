import numpy as np
import torch
from torch import nn
from torch.optim import lr_scheduler

rng = np.random.default_rng(10)
X = torch.tensor(rng.normal(size=(12, 3)), dtype=torch.float32)
losses = []
for make in (
    lambda o: lr_scheduler.StepLR(o, step_size=2, gamma=0.5),
    lambda o: lr_scheduler.MultiStepLR(o, milestones=[2, 3], gamma=0.1),
    lambda o: lr_scheduler.LambdaLR(o, lr_lambda=lambda epoch: 0.9**epoch),
    lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=4),
    lambda o: lr_scheduler.ExponentialLR(o, 0.8),
    lambda o: lr_scheduler.ReduceLROnPlateau(o, "min", patience=0, threshold=0.5),
):
    w = nn.Parameter(torch.ones(3, 1))
    optimizer = torch.optim.Adam([w], lr=0.1, betas=(0.8, 0.99), fused=False)
    scheduler = make(optimizer)
    for epoch in range(6):
        loss = (X @ w - 1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step(loss) if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau) else scheduler.step()
        losses += [loss.item(), optimizer.param_groups[0]["lr"], scheduler.get_last_lr()[0]]
