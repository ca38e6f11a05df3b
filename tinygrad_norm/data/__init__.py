"""Data: datasets, samplers, batches, and three sets of images."""

from tinygrad_norm.checks.notes import note_all
from tinygrad_norm.data.dataset import ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset, random_split
from tinygrad_norm.data.idx import read_idx, write_idx
from tinygrad_norm.data.images import digits, fashion_mnist, mnist
from tinygrad_norm.data.loader import DataLoader, default_collate, default_convert
from tinygrad_norm.data.sampler import (
    BatchSampler,
    DistributedSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from tinygrad_norm.missing import listed, missing_in

__all__ = ["BatchSampler", "ConcatDataset", "DataLoader", "Dataset", "DistributedSampler", "IterableDataset"]
__all__ += ["RandomSampler", "Sampler", "SequentialSampler", "Subset", "SubsetRandomSampler", "TensorDataset"]
__all__ += ["WeightedRandomSampler", "default_collate", "default_convert", "digits", "fashion_mnist", "mnist"]
__all__ += ["random_split", "read_idx", "write_idx"]

note_all(globals(), __all__)

__getattr__ = missing_in("tinygrad_norm.data", globals())
__dir__ = listed(globals())
