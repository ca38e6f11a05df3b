"""What passes between processes: the one file that knows MPI, by way of mpi4py.

    mpiexec -n 4 python train.py         # four processes run the same program; MPI is their launcher and their transport

Each process calls the same functions in the same order, as MPI wants it. A `group` is a communicator of mpi4py's, None
for all processes. MPI starts with the first call, not with the import. From then on, if there are several processes:

  - an exception that nobody catches is printed, and ends all processes (`end_all_on_error(False)` undoes that);
  - who waits for a process that has left the program, or is in another call, gets a RuntimeError that says so; and who has
    waited for a minute (`set_timeout`) one that says where, and for whom. The first two hold for what all processes take part
    in, not for smaller groups.

Arrays of a GPU go through host memory, since the MPI that pip installs cannot read a GPU's.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import pickle
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_norm import dtypes
from tinygrad_norm.autograd import Tensor, op
from tinygrad_norm.backend import backend_of, transfer
from tinygrad_norm.engine.tensor import wrap

Group = Any  # a communicator of mpi4py's; None for all processes


# ---- the processes ------------------------------------------------------------------------


@functools.cache
def _mpi() -> Any:
    """mpi4py's MPI. Raises ImportError that says how to install it."""
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # RuntimeError: mpi4py without an MPI library
        raise ImportError(f'several processes need mpi4py and an MPI: pip install "tinygrad_norm[mpi]" ({error})') from error
    return MPI


@functools.cache
def everybody() -> Any:
    """The communicator of all processes: a duplicate of MPI's, so that no message of anybody else's comes between."""
    group = _mpi().COMM_WORLD.Dup()
    if group.size > 1:
        end_all_on_error()
        _farewells.channel = _mpi().COMM_WORLD.Dup()
        atexit.register(_farewells.say)
    return group


def group_of(group: Group) -> Any:
    """The communicator: that of all processes for None. Raises TypeError for anything else that is none."""
    if group is None:
        return everybody()
    if not isinstance(group, _mpi().Intracomm):
        raise TypeError(f"a process group is a communicator of mpi4py's, or None for all, but got {type(group).__name__}")
    return group


def get_rank(group: Group = None) -> int:
    """The number of this process in the group, from 0."""
    return group_of(group).rank


def get_world_size(group: Group = None) -> int:
    """How many processes there are in the group."""
    return group_of(group).size


def barrier(group: Group = None) -> None:
    """Wait until all processes are here."""
    comm = group_of(group)
    Started(comm, comm.Ibarrier(), "barrier").wait()


# ---- what all do together -----------------------------------------------------------------


@op
def all_reduce(x: Any, *, group: Group = None) -> Any:
    """y = sum of x over the processes, the same in each; x has one shape in all of them. float16 is added up in float32.

    What is differentiated is the sum of the processes' losses. Each process' x goes into the y of all, so that its
    gradient is the sum of theirs: the vjp of all_reduce is all_reduce, which has derivatives of any order. PyTorch's
    torch.distributed.nn.functional.all_reduce; unlike torch.distributed.all_reduce it does not write into x.
    """
    total = np.array(transfer(x, "cpu"), dtype=_dtype_of_sum(x.dtype), order="C")
    start_sum(total, group_of(group), "all_reduce").wait()
    total = total.astype(x.dtype, copy=False) if x.dtype.kind == "f" else total
    return transfer(total, backend_of(x).name)


all_reduce.vjp(x=lambda g, group: all_reduce(g, group=group))


def broadcast(tensors: Sequence[Tensor], group: Group = None, root: int = 0) -> None:
    """Copy the values that process `root` has into everybody's Tensors, in place."""
    comm = group_of(group)
    for t in tensors:
        values = np.array(transfer(t.array, "cpu"), order="C")
        Started(comm, comm.Ibcast(values.reshape(-1).view(np.uint8), root), "broadcast").wait()
        t.detach().copy_(wrap(transfer(values, backend_of(t.array).name)))


def gather_objects(value: Any, group: Group = None) -> list:
    """The values of all processes, small ones of any type."""
    comm, packed = group_of(group), np.frombuffer(pickle.dumps(value), np.uint8)
    sizes = np.empty(comm.size, np.int64)
    Started(comm, comm.Iallgather(np.array([packed.size]), sizes), "gather_objects").wait()
    found = np.empty(sizes.sum(), np.uint8)
    Started(comm, comm.Iallgatherv(packed, (found, sizes.tolist())), "gather_objects").wait()
    return [pickle.loads(part.tobytes()) for part in np.split(found, sizes.cumsum()[:-1])]


def _dtype_of_sum(dtype: np.dtype) -> np.dtype:
    if dtype == dtypes.float16:
        return np.dtype(np.float32)
    return dtype if dtype.kind == "f" else np.dtype(np.int64)


class Started:
    """An exchange on its way: `moved` helps it along, `wait` returns when it is complete. call: what it is part of."""

    def __init__(self, comm: Any, request: Any, call: str) -> None:
        self.comm, self.request = comm, request
        self.number, self.call = _farewells.count(comm), _Part.of or call

    def moved(self) -> bool:
        """Whether it is complete. MPI works on it while it is asked, and hardly otherwise."""
        return self.request.Test()

    def wait(self) -> None:
        """Return when it is complete.

        Raises RuntimeError if a process that would have to take part has left, is in another call, or does not come for as
        long as set_timeout() says.
        """
        since = time.monotonic()
        told = False
        while not self.request.Test():
            waited = time.monotonic() - since
            _farewells.check(self.number)
            if waited > _TELL:
                if not told:
                    told = True
                    _farewells.tell(self.number, self.call)
                _farewells.compare(self.number, self.call, waited > _Timeout.seconds)
            _let_others_run()


_TELL = 1.0  # seconds that a process waits before it tells the others where


_SAME = "all have to make the same calls in the same order, in the same mode, train() or eval(); set_timeout() waits longer"


class _Timeout:
    seconds = 60.0


def set_timeout(seconds: float) -> None:
    """How long a process waits for the others in one call before it raises RuntimeError; math.inf: for ever. At first 60 s.

    Raises ValueError unless it is positive.
    """
    if not seconds > 0:
        raise ValueError(f"a timeout has to be a positive number of seconds, but got {seconds}")
    _Timeout.seconds = float(seconds)


class _Part:
    of = ""  # the call that the exchanges to come are part of


@contextlib.contextmanager
def part_of(call: str) -> Iterator[None]:
    """A block whose exchanges say that they are part of this call."""
    before, _Part.of = _Part.of, call
    try:
        yield
    finally:
        _Part.of = before


def start_sum(values: np.ndarray, comm: Any, call: str) -> Started:
    """Begin to replace the values by their sums over the processes."""
    return Started(comm, comm.Iallreduce(_mpi().IN_PLACE, values), call)


_let_others_run = getattr(os, "sched_yield", functools.partial(time.sleep, 0))  # there may be fewer cores than processes


# ---- processes that leave -----------------------------------------------------------------


_FAREWELL, _WAITS = 0, 1  # the kinds of messages on the channel


class _Farewells:
    """Who leaves the program tells all others how many exchanges of all processes it has taken part in.

    Whoever waits in a later one would wait forever.
    """

    channel: Any = None  # a communicator for these alone, None if there is only one process

    def __init__(self) -> None:
        self.started, self.heard = 0, dict[int, int]()
        self.told: list[Any] = []  # requests, which hold what they send
        self.waiting: dict[int, tuple[int, str]] = {}  # what others have told of the exchange that they wait in

    def count(self, comm: Any) -> int:
        """The number of the exchange that this group starts: 0 for less than all processes."""
        if self.channel is None or comm.size < self.channel.size:
            return 0
        self.started += 1
        return self.started

    def check(self, number: int) -> None:
        """Raise RuntimeError if a process has left before this exchange."""
        if self.channel is None:
            return
        status = _mpi().Status()
        if self.channel.Iprobe(tag=_FAREWELL, status=status):
            self.heard[status.Get_source()] = self.channel.recv(source=status.Get_source(), tag=_FAREWELL)
        if gone := sorted(rank for rank, count in self.heard.items() if count < number):
            raise RuntimeError(f"process {gone[0]} has left the program: all have to take as many steps (DistributedSampler)")

    def others(self) -> list[int]:
        """The numbers of the other processes."""
        return [rank for rank in range(self.channel.size) if rank != self.channel.rank]

    def tell(self, number: int, call: str) -> None:
        """Tell all others that this process waits."""
        for rank in self.others() if self.channel is not None and number else ():
            self.told.append(self.channel.isend((number, call), rank, tag=_WAITS))

    def compare(self, number: int, call: str, late: bool) -> None:
        """Raise RuntimeError if another process waits in another call, or (late) nobody knows where it is."""
        if self.channel is None:
            return
        status = _mpi().Status()
        while self.channel.Iprobe(tag=_WAITS, status=status):
            self.waiting[status.Get_source()] = self.channel.recv(source=status.Get_source(), tag=_WAITS)
        for rank, (theirs, their_call) in self.waiting.items():
            if number and theirs == number and their_call != call:
                raise RuntimeError(f"process {self.channel.rank} waits in {call}, and process {rank} in {their_call}: {_SAME}")
        if late:
            absent = [rank for rank in self.others() if self.waiting.get(rank, (0, ""))[0] < number]
            whom = f"for process {', '.join(map(str, absent))}" if number and absent else "for others of its group"
            raise RuntimeError(f"process {self.channel.rank} has waited {_Timeout.seconds:g} s in {call} {whom}: {_SAME}")

    def say(self) -> None:
        """At the end of the program: tell all, and hear all."""
        others = self.others()
        sent = [self.channel.isend(self.started, rank, tag=_FAREWELL) for rank in others]
        while sent or len(self.heard) < len(others):
            sent = [request for request in sent if not request.test()[0]]
            self.check(0)
            _let_others_run()


_farewells = _Farewells()
_hook_before: list[Any] = []


def end_all_on_error(enabled: bool = True) -> None:
    """Let an exception that nobody catches end all processes, after it was printed; False brings back what was before.

    Otherwise the others would wait for this process. It is switched on where MPI starts for several processes.
    """
    if enabled and not _hook_before:
        _hook_before.append(sys.excepthook)
        sys.excepthook = _print_and_abort
    elif not enabled and _hook_before:
        sys.excepthook = _hook_before.pop()


def _print_and_abort(kind: Any, error: Any, trace: Any) -> None:
    _hook_before[0](kind, error, trace)
    print(f"process {everybody().rank} of {everybody().size} failed, which ends all", file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    everybody().Abort(1)
