"""Data: datasets, their batches, and three sets of images."""

from tinygrad_norm.data.dataset import Dataset, Subset, TensorDataset, random_split
from tinygrad_norm.data.idx import read_idx, write_idx
from tinygrad_norm.data.images import digits, fashion_mnist, mnist
from tinygrad_norm.data.loader import DataLoader, default_collate

__all__ = [
    "DataLoader",
    "Dataset",
    "Subset",
    "TensorDataset",
    "default_collate",
    "digits",
    "fashion_mnist",
    "mnist",
    "random_split",
    "read_idx",
    "write_idx",
]
