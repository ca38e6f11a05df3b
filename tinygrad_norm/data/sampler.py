"""Samplers: in which order items are asked for, and in which batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any

from tinygrad_norm.generator import Generator, default_generator
from tinygrad_norm.mpi import get_rank, get_world_size
from tinygrad_norm.ops.creation import as_tensor
from tinygrad_norm.ops.random import multinomial


class Sampler:
    """Base class: define __iter__(), over indices, and __len__()."""

    def __init__(self, data_source: Any = None) -> None:
        pass

    def __class_getitem__(cls, item: Any) -> Any:
        """Sampler[int] is Sampler: for annotations."""
        return cls

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} does not define __iter__")


class SequentialSampler(Sampler):
    """The indices of a dataset in their order."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


_AT_ONCE = 1024  # indices that are drawn when the first of them is asked for


class RandomSampler(Sampler):
    """The indices of a dataset in a new random order each time; or (replacement) num_samples of them, with repetitions."""

    def __init__(
        self, data_source: Sized, replacement: bool = False, num_samples: int | None = None, generator: Generator | None = None
    ) -> None:
        if not isinstance(replacement, bool):
            raise TypeError(f"replacement should be a boolean value, but got replacement={replacement}")
        if num_samples is not None and (not isinstance(num_samples, int) or num_samples <= 0):
            raise ValueError(f"num_samples should be a positive integer value, but got num_samples={num_samples}")
        require_generator(generator)
        if num_samples is not None and not len(data_source):
            raise ValueError(f"num_samples={num_samples}: there is nothing to draw from")
        self.data_source, self.replacement, self._num_samples = data_source, replacement, num_samples
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        source, n = self.generator or default_generator, len(self.data_source)
        if self.replacement:
            for start in range(0, len(self), _AT_ONCE):
                yield from source.integers(0, n, (min(_AT_ONCE, len(self) - start),), "int64").tolist()
            return
        left = len(self)
        while left > 0:
            yield from source.permutation(n)[:left].tolist()
            left -= n

    @property
    def num_samples(self) -> int:
        """How many indices it gives: as many as there are items, unless told."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """The given indices in a new random order each time."""

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        require_generator(generator)
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[int]:
        for i in (self.generator or default_generator).permutation(len(self.indices)):
            yield self.indices[int(i)]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """num_samples of the indices 0 ... len(weights) - 1, each drawn with a probability in proportion to its weight.

    weights: numbers >= 0, not all 0. replacement=False: none twice.
    """

    def __init__(
        self, weights: Sequence[float], num_samples: int, replacement: bool = True, generator: Generator | None = None
    ) -> None:
        if not isinstance(num_samples, int) or isinstance(num_samples, bool) or num_samples <= 0:
            raise ValueError(f"num_samples should be a positive integer value, but got num_samples={num_samples}")
        if not isinstance(replacement, bool):
            raise ValueError(f"replacement should be a boolean value, but got replacement={replacement}")
        require_generator(generator)
        self.weights = as_tensor(weights, dtype="float64")
        if self.weights.ndim != 1:
            raise ValueError(f"weights should be a 1d sequence, but got the shape {list(self.weights.shape)}")
        self.num_samples, self.replacement, self.generator = num_samples, replacement, generator

    def __iter__(self) -> Iterator[int]:
        drawn = multinomial(self.weights, self.num_samples, self.replacement, generator=self.generator)
        yield from drawn.tolist()

    def __len__(self) -> int:
        return self.num_samples


class DistributedSampler(Sampler):
    """Every num_replicas-th index from rank on: each process gets its share of the dataset, and all shares are equally long.

    num_replicas, rank: how many processes there are, and the number of this one; MPI's by default, for which it needs mpi4py.
    shuffle: in a new order in each epoch, drawn from seed + epoch, so that all processes draw the same: call set_epoch(epoch)
    before each. Where the dataset cannot be divided, its first indices come twice; or (drop_last) its last not at all.
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        num_replicas = get_world_size() if num_replicas is None else num_replicas
        rank = get_rank() if rank is None else rank
        if num_replicas < 1:
            raise ValueError(f"num_replicas should be a positive integer, but got {num_replicas}")
        if not 0 <= rank < num_replicas:
            raise ValueError(f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]")
        self.dataset, self.num_replicas, self.rank = dataset, num_replicas, rank
        self.shuffle, self.seed, self.drop_last, self.epoch = shuffle, seed, drop_last, 0
        count = len(dataset)
        self.num_samples = count // num_replicas if drop_last else -(-count // num_replicas)
        self.total_size = self.num_samples * num_replicas

    def __iter__(self) -> Iterator[int]:
        count = len(self.dataset)
        order = list(range(count))
        if self.shuffle:
            order = Generator().manual_seed(self.seed + self.epoch).permutation(count).tolist()
        for place in range(self.rank, self.total_size, self.num_replicas):
            yield order[place % count]

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Draw the order of this epoch from now on."""
        self.epoch = epoch


def require_generator(generator: Any) -> None:
    """Raise TypeError unless it is a Generator or None."""
    if generator is not None and not isinstance(generator, Generator):
        raise TypeError(f"generator has to be a Generator, but got {type(generator).__name__}: Generator().manual_seed(n)")


class BatchSampler(Sampler):
    """The indices of another sampler, batch_size at a time; drop_last: without a last batch that is smaller."""

    def __init__(self, sampler: Iterable, batch_size: int, drop_last: bool) -> None:
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size <= 0:
            raise ValueError(f"batch_size should be a positive integer value, but got batch_size={batch_size}")
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last}")
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list]:
        batch: list = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        count = len(self.sampler)  # type: ignore[arg-type]
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)
