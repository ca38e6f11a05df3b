"""Datasets: things with a length whose items can be asked for by number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_norm.autograd import Tensor
from tinygrad_norm.backend import Generator, default_generator


class Dataset:
    """Base class: define __getitem__(index) and __len__()."""

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not define __getitem__")

    def __len__(self) -> int:
        raise TypeError(f"{type(self).__name__} does not define __len__")


class TensorDataset(Dataset):
    """Tensors with the same first dimension: item i is (tensors[0][i], tensors[1][i], ...)."""

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors or any(len(t) != len(tensors[0]) for t in tensors):
            raise AssertionError(f"Size mismatch between tensors: got the lengths {[len(t) for t in tensors]}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(t[index] for t in self.tensors)

    def take(self, indices: np.ndarray) -> tuple[Tensor, ...]:
        """The items at the indices, as one batch."""
        return self[indices]

    def __len__(self) -> int:
        return len(self.tensors[0])


class Subset(Dataset):
    """The items of a dataset at the given indices."""

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __getitem__(self, index: Any) -> Any:
        return self.dataset[self.indices[index]]

    def __getattr__(self, name: str) -> Any:
        if name == "take" and hasattr(self.__dict__.get("dataset"), "take"):
            return lambda indices: self.dataset.take(np.asarray(self.indices)[indices])
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __len__(self) -> int:
        return len(self.indices)


def random_split(dataset: Any, lengths: Sequence[float], generator: Generator | None = None) -> list[Subset]:
    """Split at random into subsets of these lengths, or of these fractions if they sum to 1."""
    total = len(dataset)
    sizes: list[Any] = list(lengths)
    if abs(sum(sizes) - 1) < 1e-9 and all(0 <= s <= 1 for s in sizes):
        sizes = [int(total * s) for s in sizes]
        for i in range(total - sum(sizes)):
            sizes[i % len(sizes)] += 1
    if sum(sizes) != total:
        raise ValueError(f"Sum of input lengths does not equal the length of the input dataset: {sum(sizes)} and {total}")
    order = (generator or default_generator()).permutation(total)
    stops = np.cumsum(sizes)
    return [Subset(dataset, order[stop - size : stop].tolist()) for size, stop in zip(sizes, stops)]
