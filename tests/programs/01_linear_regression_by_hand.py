import numpy as np
import torch

rng = np.random.default_rng(0)
true_w, true_b = torch.tensor([2.0, -3.4]), 4.2
X = torch.from_numpy(rng.normal(size=(200, 2)).astype("float32"))
y = torch.matmul(X, true_w) + true_b
y = y.reshape((-1, 1))


def data_iter(batch_size, features, labels):
    indices = list(range(len(features)))
    for i in range(0, len(features), batch_size):
        batch_indices = torch.tensor(indices[i : min(i + batch_size, len(features))])
        yield features[batch_indices], labels[batch_indices]


w = torch.zeros(size=(2, 1), requires_grad=True)
b = torch.zeros(1, requires_grad=True)
losses = []
for epoch in range(3):
    for xb, yb in data_iter(20, X, y):
        loss = ((torch.matmul(xb, w) + b - yb.reshape(-1, 1)) ** 2 / 2).mean()
        loss.backward()
        with torch.no_grad():
            for param in [w, b]:
                param -= 0.1 * param.grad
                param.grad.zero_()
    with torch.no_grad():
        losses.append(float((((torch.mm(X, w) + b) - y) ** 2).mean()))
losses.append(float(torch.norm(true_w - w.reshape(true_w.shape))))
