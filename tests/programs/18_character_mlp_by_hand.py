import numpy as np
import torch
import torch.nn.functional as F

rng = np.random.default_rng(8)


def normal(*shape, scale=1.0):
    return torch.tensor(rng.normal(size=shape) * scale, dtype=torch.float32)


X, Y = torch.tensor(rng.integers(0, 9, (30, 3))), torch.tensor(rng.integers(0, 9, 30))
C, W1, W2 = normal(9, 4), normal(12, 16, scale=5 / 3 / 12**0.5), normal(16, 9, scale=0.1)
b2, bngain, bnbias = torch.zeros(9), torch.ones((1, 16)), torch.zeros((1, 16))
bnmean_running = torch.zeros((1, 16))
parameters = [C, W1, W2, b2, bngain, bnbias]
for p in parameters:
    p.requires_grad = True
losses = []
for i in range(6):
    ix = torch.tensor(rng.integers(0, X.shape[0], 16))
    Xb, Yb = X[ix], Y[ix]
    emb = C[Xb]
    embcat = emb.view(emb.shape[0], -1)
    hprebn = embcat @ W1
    bnmeani, bnstdi = hprebn.mean(0, keepdim=True), hprebn.std(0, keepdim=True)
    hpreact = bngain * (hprebn - bnmeani) / bnstdi + bnbias
    with torch.no_grad():
        bnmean_running = 0.999 * bnmean_running + 0.001 * bnmeani
    h = torch.tanh(hpreact)
    logits = h @ W2 + b2
    for t in [logits, h, hprebn]:
        t.retain_grad()
    loss = F.cross_entropy(logits, Yb)
    for p in parameters:
        p.grad = None
    loss.backward()
    dlogits = F.softmax(logits, 1)
    dlogits[range(16), Yb] -= 1
    dlogits /= 16
    assert torch.allclose(dlogits, logits.grad, atol=1e-6), (dlogits - logits.grad).abs().max().item()
    for p in parameters:
        p.data += -0.1 * p.grad
    losses += [loss.item(), hprebn.grad.abs().max().item(), float(logits.max(1).indices.sum())]
losses.append(bnmean_running.sum().item())
