"""DistributedDataParallel: one model in several processes, each with its own share of the data."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tinygrad_norm.autograd import Tensor, is_grad_enabled
from tinygrad_norm.autograd.requests import call_at_end
from tinygrad_norm.backend import backend_of, is_writable, transfer
from tinygrad_norm.engine.tensor import mark_edited, wrap
from tinygrad_norm.mpi import Started, broadcast, gather_objects, group_of, start_sum
from tinygrad_norm.nn.module import Module
from tinygrad_norm.nn.parameter import UninitializedParameter


class DistributedDataParallel(Module):
    """The module, whose gradients `backward` leaves averaged over the processes.

    Each process computes with its own batch. The mean of the gradients of P mean losses over B examples each is the
    gradient of the mean loss over all P * B, so that P processes train as one with a batch of P * B does. It is so for
    equal batches only: of unequal ones each counts as much as the others, unless a process multiplies its loss by
    P * (its share of the examples).

    At the start all get the parameters and buffers of process 0. In backward the gradients are summed in a few flat
    buckets of at most bucket_cap_mb. A bucket goes on its way when all of its gradients are there, while backward computes
    the next ones; MPI works on it while it is asked, which happens with each gradient, and at the end. Running moments
    of a batch norm remain each process' own: those of process 0 are what is saved; or see SyncBatchNorm.

    device_ids, output_device, dim: change nothing, one process computes on one device.
    process_group: a communicator of mpi4py's, None for all processes.
    find_unused_parameters: take a gradient that this process has not, but another has, for zeros.

    Raises RuntimeError in all processes where their models differ; where no parameter requires grad; and in backward
    where a parameter has got no gradient, unless find_unused_parameters. The keys in state_dict begin with "module.".
    Only `backward` on what forward returned is watched: a process that leaves it out makes the others wait.
    """

    def __init__(
        self,
        module: Module,
        device_ids: Any = None,
        output_device: Any = None,
        dim: int = 0,
        *,
        process_group: Any = None,
        bucket_cap_mb: float | None = None,
        find_unused_parameters: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(module, Module):
            raise TypeError(f"DistributedDataParallel: expected a Module, but got {type(module).__name__}")
        bucket_cap_mb = 25.0 if bucket_cap_mb is None else bucket_cap_mb
        if not bucket_cap_mb > 0:
            raise ValueError(f"bucket_cap_mb has to be positive, but got {bucket_cap_mb}")
        self.module, self.find_unused_parameters = module, find_unused_parameters
        self.process_group = group_of(process_group)
        self.require_backward_grad_sync = True
        broadcast_parameters(module, self.process_group)
        trained = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
        if not trained:
            raise RuntimeError("DistributedDataParallel is not needed when a module doesn't have any parameters to train")
        self._channel = self.process_group.Dup()  # buckets and what the module itself exchanges must not mix
        self._buckets = _in_buckets(trained, bucket_cap_mb)
        self._bucket_of = {p: bucket for bucket in self._buckets for p in bucket.names}
        self._on_its_way: list[Started] = []  # of the first so many buckets
        self._watches = self._reducing = False
        for p in self._bucket_of:
            p.register_post_accumulate_grad_hook(self._arrived)

    def forward(self, *inputs: Any, **arguments: Any) -> Any:
        """What the module computes."""
        if self._reducing:
            raise RuntimeError("Expected to have finished reduction in the prior iteration: make the model anew after an error")
        output = self.module(*inputs, **arguments)
        if is_grad_enabled():
            self._watches = self.require_backward_grad_sync
            for t in _tensors_in(output) if self._watches else ():
                if t.grad_fn is not None:
                    t.register_hook(self._begin)  # also where no parameter has been used
        return output

    @contextlib.contextmanager
    def no_sync(self) -> Iterator[None]:
        """A block in which gradients are only accumulated, each process' own; the next backward outside averages the sums.

        As in PyTorch, forward has to be inside as well.
        """
        before, self.require_backward_grad_sync = self.require_backward_grad_sync, False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before

    # ---- in backward ----------------------------------------------------------------------

    def _begin(self, gradient: Tensor | None = None) -> None:
        if not self._reducing and call_at_end(self._end):
            self._reducing = True
            for bucket in self._buckets:
                bucket.missing = set(bucket.names)

    def _arrived(self, p: Tensor) -> None:
        """The gradient of p is there."""
        if not self._watches:
            return
        if p.grad is not None and p.grad.requires_grad:
            raise RuntimeError("create_graph=True: values are averaged, not their histories: use autograd.grad, all_reduce")
        self._begin()
        self._bucket_of[p].missing.discard(p)
        for started in self._on_its_way:
            started.moved()
        for bucket in self._buckets[len(self._on_its_way) :]:  # in one order in all processes
            if bucket.missing:
                break
            self._send(bucket)

    def _send(self, bucket: _Bucket) -> None:
        bucket.fill()
        self._on_its_way.append(start_sum(bucket.values, self._channel, "DistributedDataParallel's backward"))

    def _end(self) -> None:
        """Send what is left, wait for all, and leave the means in .grad."""
        for bucket in self._buckets[len(self._on_its_way) :]:
            self._send(bucket)
        for started in self._on_its_way:
            started.wait()
        self._on_its_way, self._reducing = [], False
        processes = self._channel.size
        without = [text for bucket in self._buckets for text in bucket.incomplete(processes)]
        if without and not self.find_unused_parameters:
            raise RuntimeError(f"{', '.join(without)}: each process has to use each parameter. Try find_unused_parameters=True")
        for bucket in self._buckets:
            bucket.leave_means(processes)


class _Bucket:
    """Some parameters, and one flat array: their gradients, and then for each a 1 if it has a gradient, else a 0."""

    def __init__(self, names: dict[Tensor, str]) -> None:
        self.names, self.missing = names, set(names)
        self.size = sum(p.array.size for p in names)
        self.values = np.empty(self.size + len(names), np.float32)

    def _parts(self) -> Iterator[tuple[Tensor, np.ndarray]]:
        start = 0
        for p in self.names:
            yield p, self.values[start : start + p.array.size].reshape(p.array.shape)
            start += p.array.size

    @property
    def _present(self) -> np.ndarray:
        return self.values[self.size :]

    def fill(self) -> None:
        """What this process has; float16 as float32."""
        dtype = np.promote_types(next(iter(self.names)).dtype, np.float32)
        if self.values.dtype != dtype:  # at first, and if the model was converted
            self.values = np.empty(len(self.values), dtype)
        for k, (p, part) in enumerate(self._parts()):
            part[...] = 0 if p.grad is None else transfer(p.grad.array, "cpu")
            self._present[k] = p.grad is not None

    def incomplete(self, processes: int) -> list[str]:
        """The parameters that not all processes have a gradient for, as text."""
        found = zip(self.names.values(), self._present.tolist())
        return [f"{name} has a gradient in {int(n)} of {processes} processes" for name, n in found if n < processes]

    def leave_means(self, processes: int) -> None:
        """Write the means into .grad, in its memory; where no process has a gradient, nothing."""
        for (p, part), present in zip(self._parts(), self._present.tolist()):
            if present:
                mean = transfer((part / processes).astype(p.dtype, copy=False), backend_of(p.array).name)
                if p.grad is None or not is_writable(p.grad.array):
                    p.grad = wrap(mean)
                else:
                    p.grad.array[...] = mean
                    mark_edited(p.grad, "DistributedDataParallel's mean")


def _in_buckets(trained: list[tuple[str, Any]], cap_mb: float) -> list[_Bucket]:
    """Last parameters first, since their gradients come first; in a bucket all have one dtype."""
    groups: list[dict[Tensor, str]] = []
    room = 0.0
    for name, p in reversed(trained):
        if not groups or next(iter(groups[-1])).dtype != p.dtype or p.array.nbytes > room:
            groups.append({})
            room = cap_mb * 2**20
        groups[-1][p] = name
        room -= p.array.nbytes
    return [_Bucket(names) for names in groups]


def _tensors_in(output: Any) -> Iterator[Tensor]:
    """The Tensors in what forward returned: in tuples, lists and dicts too."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping):
        for value in output.values():
            yield from _tensors_in(value)
    elif isinstance(output, (tuple, list)):
        for value in output:
            yield from _tensors_in(value)


def broadcast_parameters(module: Module, group: Any = None, root: int = 0) -> None:
    """Give all processes the parameters and buffers of process `root`, in place.

    Raises RuntimeError in all of them where their names, shapes or dtypes differ.
    """
    parts = [*module.named_parameters(), *module.named_buffers()]
    if uninitialized := [name for name, p in parts if isinstance(p, UninitializedParameter)]:
        raise RuntimeError(f"{', '.join(uninitialized)}: not initialised yet. Call the lazy module once, with an example")
    signatures = gather_objects([(name, list(p.shape), str(p.dtype)) for name, p in parts], group)
    for rank, theirs in enumerate(signatures):
        if theirs != signatures[root]:
            pairs = zip([*theirs, "nothing more"], [*signatures[root], "nothing more"])
            one, other = next((a, b) for a, b in pairs if a != b)
            raise RuntimeError(f"the models differ: process {rank} has {one}, where process {root} has {other}")
    broadcast([p for _, p in parts], group, root)
