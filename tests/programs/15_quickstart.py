import os
import tempfile

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

rng = np.random.default_rng(6)


class Images(Dataset):
    def __init__(self, n, transform=None, target_transform=None):
        self.images, self.labels = rng.random((n, 1, 8, 8)).astype("float32"), rng.integers(0, 3, n)
        self.transform, self.target_transform = transform, target_transform

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, idx):
        image, label = torch.from_numpy(self.images[idx]), self.labels[idx]
        if self.transform:
            image = self.transform(image)
        return image, label


train_dataloader = DataLoader(Images(64, transform=lambda x: x - 0.5), batch_size=16, pin_memory=False)
for X, y in train_dataloader:
    losses = [float(X.shape[0]), float(y.sum())]
    break
device = "cuda" if torch.cuda.is_available() else "cpu"


class NeuralNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.flatten = nn.Flatten()
        self.linear_relu_stack = nn.Sequential(nn.Linear(8 * 8, 32), nn.ReLU(), nn.Linear(32, 3))

    def forward(self, x):
        x = self.flatten(x)
        return self.linear_relu_stack(x)


model = NeuralNetwork().to(device)
for p in model.parameters():
    p.data = torch.tensor(rng.normal(size=tuple(p.shape)) * 0.1, dtype=torch.float32)
loss_fn = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=1e-1)
for epoch in range(2):
    model.train()
    for batch, (X, y) in enumerate(train_dataloader):
        X, y = X.to(device), y.to(device)
        loss = loss_fn(model(X), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    model.eval()
    correct = 0
    with torch.no_grad():
        for X, y in train_dataloader:
            pred = model(X)
            correct += (pred.argmax(1) == y).type(torch.float).sum().item()
    losses.append(correct / len(train_dataloader.dataset))
path = os.path.join(tempfile.mkdtemp(), "model.pth")
torch.save(model.state_dict(), path)
model = NeuralNetwork().to(device)
model.load_state_dict(torch.load(path, weights_only=True))
losses.append(model(X).sum().item())
