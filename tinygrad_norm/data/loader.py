"""DataLoader: a dataset in batches."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np

from tinygrad_norm.autograd import Tensor
from tinygrad_norm.data.dataset import IterableDataset, Subset, TensorDataset
from tinygrad_norm.data.sampler import BatchSampler, RandomSampler, SequentialSampler, require_generator
from tinygrad_norm.generator import Generator
from tinygrad_norm.ops.creation import as_tensor, tensor
from tinygrad_norm.ops.joining import stack
from tinygrad_norm.warn import warn


class DataLoader:
    """The batches of a dataset, in its order or (shuffle) in a new random order each time.

    batch_size: None for single items. sampler: an iterable of indices, in the place of shuffle. batch_sampler: an
    iterable of lists of indices, in the place of batch_size, shuffle, sampler and drop_last. drop_last: leave out a last
    batch that is smaller. collate_fn: makes a batch from a list of items; by default Tensors are stacked. generator:
    where the order is drawn from.

    num_workers and what goes with it are accepted, but loading happens in this process. A TensorDataset, or a Subset of
    one, is indexed a batch at a time, which no worker would make faster; anything else is asked for item by item.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable | None = None,
        batch_sampler: Iterable | None = None,
        num_workers: int = 0,
        collate_fn: Callable | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        require_generator(generator)
        self.dataset, self.batch_size, self.sampler, self.batch_sampler = dataset, batch_size, sampler, batch_sampler
        self.num_workers, self.pin_memory, self.drop_last, self.timeout = num_workers, pin_memory, drop_last, timeout
        self.worker_init_fn, self.generator, self.prefetch_factor = worker_init_fn, generator, prefetch_factor
        self.persistent_workers, self.multiprocessing_context = persistent_workers, multiprocessing_context
        self._require_options_that_fit(bool(shuffle))
        if num_workers:
            warn(f"num_workers={num_workers} is accepted, but batches are loaded in this process")
        if batch_sampler is not None:
            self.batch_size = None
        if sampler is None and not isinstance(dataset, IterableDataset):
            self.sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if self.batch_size is not None:  # also for iterables: it checks the size
            made = BatchSampler([] if self.sampler is None else self.sampler, self.batch_size, drop_last)
            self.batch_sampler = None if isinstance(dataset, IterableDataset) else made
        single = self.batch_sampler is None and self.batch_size is None
        self.collate_fn = collate_fn or (default_convert if single else default_collate)

    def _require_options_that_fit(self, shuffle: bool) -> None:
        """Raise ValueError for options that exclude one another."""
        sampled, batched = self.sampler is not None, self.batch_sampler is not None
        if self.num_workers < 0:
            raise ValueError("num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.")
        if self.timeout < 0:
            raise ValueError("timeout option should be non-negative")
        if not self.num_workers and self.prefetch_factor is not None:
            raise ValueError("prefetch_factor option could only be specified in multiprocessing: with num_workers > 0")
        if not self.num_workers and self.persistent_workers:
            raise ValueError("persistent_workers option needs num_workers > 0")
        if isinstance(self.dataset, IterableDataset) and (shuffle or sampled or batched):
            raise ValueError("DataLoader with IterableDataset: expected no shuffle, sampler or batch_sampler")
        if sampled and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batched and (self.batch_size != 1 or shuffle or sampled or self.drop_last):
            raise ValueError("batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last")
        if self.batch_size is None and self.drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")

    def __len__(self) -> int:
        if isinstance(self.dataset, IterableDataset):
            count = len(self.dataset)  # type: ignore[arg-type]
            if self.batch_size is None:
                return count
            return count // self.batch_size if self.drop_last else -(-count // self.batch_size)
        return len(self.sampler if self.batch_sampler is None else self.batch_sampler)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        return _Batches(self)

    def _next_batch(self) -> Callable[[], Any]:
        """What gives the next batch, and ends with StopIteration; after another error it goes on behind what has failed."""
        if isinstance(self.dataset, IterableDataset):
            items = iter(self.dataset)
            return lambda: self.collate_fn(next(items) if self.batch_size is None else self._next_items(items))
        if self.batch_sampler is None:
            single = iter(self.sampler)  # type: ignore[arg-type]
            return lambda: self.collate_fn(self.dataset[next(single)])
        batches = iter(self.batch_sampler)
        batch_at = _batch_at(self.dataset) if self.collate_fn is default_collate else None
        if batch_at is not None:
            return lambda: batch_at(next(batches))
        items_at = getattr(self.dataset, "__getitems__", None) or (lambda indices: [self.dataset[i] for i in indices])
        return lambda: self.collate_fn(items_at(next(batches)))

    def _next_items(self, items: Iterator) -> list:
        """The items of a batch, of a dataset that can only be iterated over."""
        batch = list(itertools.islice(items, self.batch_size))
        if not batch or (self.drop_last and len(batch) < self.batch_size):  # type: ignore[operator]
            raise StopIteration
        return batch


class _Batches:
    """An iterator over the batches, with a length where the loader has one."""

    def __init__(self, loader: DataLoader) -> None:
        self._loader, self._next = loader, loader._next_batch()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self._next()

    def __len__(self) -> int:
        return len(self._loader)


def _batch_at(dataset: Any) -> Callable | None:
    """What gives the batch at a list of indices at once; None for a data set that may index otherwise."""
    chain = None
    while type(dataset) is Subset:
        chain = np.asarray(dataset.indices) if chain is None else np.asarray(dataset.indices)[chain]
        dataset = dataset.dataset
    if type(dataset) is not TensorDataset or (chain is not None and chain.dtype.kind not in "iu"):
        return None
    return lambda indices: list(dataset[np.asarray(indices) if chain is None else chain[np.asarray(indices)]])


def default_convert(data: Any) -> Any:
    """An item as it is, with NumPy arrays as Tensors."""
    if isinstance(data, (np.ndarray, np.generic)) and data.dtype.kind in "fiub":
        return as_tensor(data)
    if isinstance(data, Mapping):
        return {key: default_convert(value) for key, value in data.items()}
    if isinstance(data, tuple):
        converted = [default_convert(d) for d in data]
        return type(data)(*converted) if hasattr(data, "_fields") else converted
    return [default_convert(d) for d in data] if isinstance(data, list) else data


def default_collate(batch: Sequence) -> Any:
    """One batch from a list of items: Tensors, arrays and numbers stacked; tuples, lists and mappings entry by entry.

    Python floats become float64, as NumPy has them. A mapping or a namedtuple keeps its type; text stays a list.
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return stack(list(batch))
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, np.ndarray):
        return stack([as_tensor(array) for array in batch])
    if isinstance(first, np.generic):
        return as_tensor(np.asarray(batch))
    if isinstance(first, float):
        return tensor(batch, dtype="float64")
    if isinstance(first, int):
        return tensor(batch)
    if isinstance(first, Mapping):
        columns = {key: default_collate([item[key] for item in batch]) for key in first}
        return _of_kind(first, columns)
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(default_collate(column) for column in zip(*batch)))
    if isinstance(first, Sequence):
        if any(len(item) != len(first) for item in batch):
            raise RuntimeError(f"the lists of a batch should be of equal size, but got {[len(item) for item in batch]}")
        return [default_collate(column) for column in zip(*batch)]
    raise TypeError(f"default_collate: expected tensors, arrays, numbers, dicts or lists, not {type(first)}: give a collate_fn")


def _of_kind(mapping: Mapping, columns: dict) -> Any:
    """The columns in a mapping of the same type, where it can be made."""
    try:
        if isinstance(mapping, MutableMapping):
            made = copy.copy(mapping)
            made.update(columns)
            return made
        return type(mapping)(columns)  # type: ignore[call-arg]
    except TypeError:
        return columns
