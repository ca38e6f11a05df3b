import torch
import torch.nn.functional as F

words = ["emma", "olivia", "ava", "isabella", "sophia", "mia", "amelia", "harper", "evelyn", "luna"]
chars = sorted(list(set("".join(words))))
stoi = {s: i + 1 for i, s in enumerate(chars)}
stoi["."] = 0
n = len(stoi)
N = torch.zeros((n, n), dtype=torch.int32)
xs, ys = [], []
for w in words:
    chs = ["."] + list(w) + ["."]
    for ch1, ch2 in zip(chs, chs[1:]):
        ix1, ix2 = stoi[ch1], stoi[ch2]
        N[ix1, ix2] += 1
        xs.append(ix1)
        ys.append(ix2)
P = (N + 1).float()
P /= P.sum(1, keepdims=True)
log_likelihood = 0.0
for a, b in zip(xs, ys):
    log_likelihood += torch.log(P[a, b])
losses = [-log_likelihood.item() / len(xs), float(N.sum().item())]
xs, ys = torch.tensor(xs), torch.tensor(ys)
num = xs.nelement()
W = torch.linspace(-1, 1, n * n).reshape(n, n).sin().requires_grad_()
for k in range(8):
    xenc = F.one_hot(xs, num_classes=n).float()
    logits = xenc @ W
    counts = logits.exp()
    probs = counts / counts.sum(1, keepdims=True)
    loss = -probs[torch.arange(num), ys].log().mean() + 0.01 * (W**2).mean()
    W.grad = None
    loss.backward()
    W.data += -10 * W.grad
    losses.append(loss.item())
g = torch.Generator().manual_seed(2147483647)
ix = torch.multinomial(torch.tensor([0.0, 1.0, 0.0]), num_samples=4, replacement=True, generator=g)
losses += [float(i) for i in ix.tolist()]
