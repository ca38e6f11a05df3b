import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

rng = np.random.default_rng(9)
n_embd, head_size, block_size, vocab = 8, 4, 6, 11


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.key = nn.Linear(n_embd, head_size, bias=False)
        self.query = nn.Linear(n_embd, head_size, bias=False)
        self.value = nn.Linear(n_embd, head_size, bias=False)
        self.register_buffer("tril", torch.tril(torch.ones(block_size, block_size)))

    def forward(self, x):
        B, T, C = x.shape
        k, q = self.key(x), self.query(x)
        wei = q @ k.transpose(-2, -1) * C**-0.5
        wei = wei.masked_fill(self.tril[:T, :T] == 0, float("-inf"))
        wei = F.softmax(wei, dim=-1)
        return wei @ self.value(x)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.token, self.position = nn.Embedding(vocab, n_embd), nn.Embedding(block_size, n_embd)
        self.heads = nn.ModuleList([Head() for _ in range(2)])
        self.ln = nn.LayerNorm(n_embd)
        self.ff = nn.Sequential(nn.Linear(n_embd, 16), nn.GELU(), nn.Linear(16, vocab))

    def forward(self, idx, targets=None):
        B, T = idx.shape
        x = self.token(idx) + self.position(torch.arange(T, device=idx.device))
        x = x + torch.cat([h(self.ln(x)) for h in self.heads], dim=-1)
        logits = self.ff(x)
        if targets is None:
            return logits, None
        B, T, C = logits.shape
        return logits, F.cross_entropy(logits.view(B * T, C), targets.view(B * T))


model = Model()
for p in model.parameters():
    p.data = torch.tensor(rng.normal(size=tuple(p.shape)) * 0.3, dtype=torch.float32)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
xb, yb = torch.tensor(rng.integers(0, vocab, (3, 6))), torch.tensor(rng.integers(0, vocab, (3, 6)))
losses = []
for _ in range(6):
    logits, loss = model(xb, yb)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    optimizer.step()
    losses += [loss.item(), float(norm)]
