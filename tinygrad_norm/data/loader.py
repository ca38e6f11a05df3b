"""DataLoader: a dataset in batches."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from tinygrad_norm.autograd import Tensor
from tinygrad_norm.backend import Generator, default_generator
from tinygrad_norm.ops.creation import tensor
from tinygrad_norm.ops.shape import stack


class DataLoader:
    """The batches of a dataset, in its order or (shuffle) in a new random order each time.

    sampler: an iterable of indices, in the place of shuffle. drop_last: leave out a last batch that
    is smaller. collate_fn: makes a batch from a list of items; by default Tensors are stacked.
    generator: where the order is drawn from. num_workers is accepted, but loading happens in this
    process: a TensorDataset is indexed a batch at a time, which no worker would make faster.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        sampler: Iterable[int] | None = None,
        num_workers: int = 0,
        collate_fn: Callable | None = None,
        drop_last: bool = False,
        generator: Generator | None = None,
    ) -> None:
        if not isinstance(batch_size, int) or batch_size <= 0:
            raise ValueError(f"batch_size should be a positive integer value, but got batch_size={batch_size}")
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if num_workers < 0:
            raise ValueError("num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.")
        if num_workers:
            warnings.warn(f"num_workers={num_workers} is accepted, but batches are loaded in this process", stacklevel=2)
        self.dataset, self.batch_size, self.shuffle, self.sampler = dataset, batch_size, shuffle, sampler
        self.num_workers, self.drop_last, self.generator = num_workers, drop_last, generator
        self.collate_fn = collate_fn or default_collate

    def __len__(self) -> int:
        count = len(self.dataset if self.sampler is None else self.sampler)  # type: ignore[arg-type]
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        order = self._order()
        whole_batches = self.collate_fn is default_collate and hasattr(self.dataset, "take")
        for start in range(0, len(order), self.batch_size):
            indices = order[start : start + self.batch_size]
            if self.drop_last and len(indices) < self.batch_size:
                return
            if whole_batches:
                yield list(self.dataset.take(indices))
            else:
                yield self.collate_fn([self.dataset[int(i)] for i in indices])

    def _order(self) -> np.ndarray:
        if self.sampler is not None:
            return np.fromiter(self.sampler, dtype=np.int64)
        if self.shuffle:
            return (self.generator or default_generator()).permutation(len(self.dataset))
        return np.arange(len(self.dataset))


def default_collate(items: list) -> Any:
    """One batch from a list of items: Tensors, arrays and numbers stacked, tuples and dicts entry by entry."""
    first = items[0]
    if isinstance(first, Tensor):
        return stack(items)
    if isinstance(first, (np.ndarray, np.generic)):
        return tensor(np.stack(items))
    if isinstance(first, (bool, int, float)):
        return tensor(items)
    if isinstance(first, dict):
        return {key: default_collate([item[key] for item in items]) for key in first}
    if isinstance(first, (tuple, list)):
        return [default_collate(list(column)) for column in zip(*items)]
    if isinstance(first, str):
        return items
    raise TypeError(
        f"default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {type(first).__name__}: "
        "give the DataLoader a collate_fn"
    )
