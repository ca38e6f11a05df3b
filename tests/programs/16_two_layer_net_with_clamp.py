import numpy as np
import torch
import torch.nn.functional as F

rng = np.random.default_rng(7)
device, dtype = torch.device("cpu"), torch.float32


class MyReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, grad_output):
        (x,) = ctx.saved_tensors
        grad_x = grad_output.clone()
        grad_x[x < 0] = 0
        return grad_x


def random_weight(shape):
    fan_in = shape[0] if len(shape) == 2 else np.prod(shape[1:])
    w = torch.tensor(rng.normal(size=shape), device=device, dtype=dtype) * np.sqrt(2.0 / fan_in)
    w.requires_grad = True
    return w


def flatten(x):
    N = x.shape[0]
    return x.view(N, -1)


x = torch.tensor(rng.normal(size=(16, 3, 4, 4)), dtype=torch.float64).to(device=device, dtype=dtype)
y = torch.tensor(rng.integers(0, 5, 16)).to(device=device, dtype=torch.long)
w1, w2 = random_weight((48, 20)), random_weight((20, 5))
losses = []
for t in range(10):
    scores = MyReLU.apply(flatten(x).mm(w1)).mm(w2) if t % 2 else flatten(x).mm(w1).clamp(min=0).mm(w2)
    loss = F.cross_entropy(scores, y)
    loss.backward()
    with torch.no_grad():
        for w in [w1, w2]:
            w -= 1e-1 * w.grad
            w.grad.zero_()
    _, preds = scores.max(1)
    losses += [loss.item(), float((preds == y).sum()) / preds.size(0)]
