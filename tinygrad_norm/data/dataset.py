"""Datasets: things with a length whose items can be asked for by number, or that can be iterated over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_norm.autograd import Tensor
from tinygrad_norm.generator import Generator, default_generator


class Dataset:
    """Base class: define __getitem__(index) and __len__()."""

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define __getitem__")

    def __add__(self, other: Dataset) -> ConcatDataset:
        return ConcatDataset([self, other])

    def __class_getitem__(cls, item: Any) -> Any:
        """Dataset[int] is Dataset: for annotations."""
        return cls


class IterableDataset(Dataset):
    """Base class of data that come one after the other: define __iter__(), and __len__() if it is known."""

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} does not define __iter__")


class TensorDataset(Dataset):
    """Tensors with the same first dimension: item i is (tensors[0][i], tensors[1][i], ...)."""

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors or any(len(t) != len(tensors[0]) for t in tensors):
            raise AssertionError(f"Size mismatch between tensors: got the lengths {[len(t) for t in tensors]}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(t[index] for t in self.tensors)

    def __len__(self) -> int:
        return len(self.tensors[0])


class Subset(Dataset):
    """The items of a dataset at the given indices."""

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)


class ConcatDataset(Dataset):
    """Several datasets, one after the other."""

    def __init__(self, datasets: Any) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("datasets should not be an empty iterable")
        if any(isinstance(d, IterableDataset) for d in self.datasets):
            raise AssertionError("ConcatDataset does not support IterableDataset: its items have no numbers")
        self.cumulative_sizes = np.cumsum([len(d) for d in self.datasets]).tolist()

    def __getitem__(self, index: int) -> Any:
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise ValueError(f"index {index} is out of range: there are {len(self)} items")
        which = int(np.searchsorted(self.cumulative_sizes, at, side="right"))
        return self.datasets[which][at - (self.cumulative_sizes[which - 1] if which else 0)]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]


def random_split(dataset: Any, lengths: Sequence[float], generator: Generator | None = None) -> list[Subset]:
    """Split at random into subsets of these lengths, or of these fractions if they sum to 1."""
    total = len(dataset)
    sizes: list[Any] = list(lengths)
    if abs(sum(sizes) - 1) < 1e-9 and sum(sizes) <= 1 + 1e-9:
        if not all(0 <= s <= 1 for s in sizes):
            raise ValueError(f"Fractions have to be between 0 and 1, but got {sizes}")
        sizes = [int(total * s) for s in sizes]
        for i in range(total - sum(sizes)):
            sizes[i % len(sizes)] += 1
    if sum(sizes) != total or any(s < 0 for s in sizes):
        raise ValueError(f"Sum of input lengths does not equal the length of the input dataset: {sum(sizes)} and {total}")
    order = (generator or default_generator).permutation(total)
    stops = np.cumsum(sizes)
    return [Subset(dataset, order[stop - size : stop].tolist()) for size, stop in zip(sizes, stops)]
