"""Loops on several cores: one small pool of Python threads, which compiled loops leave the interpreter to.

    set_num_threads(2)      # for the loops here and for NumPy's matrix products
    get_num_threads()

By default as many as the process may use, which OPENBLAS_NUM_THREADS and OMP_NUM_THREADS limit as they limit NumPy.
Threads of one's own that train at the same time share the pool: a piece of work never waits for another one, so they
cannot block one another.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

LEAST = 2**19  # elements: a loop over so many takes about as long as it takes to wake a thread, .1 ms
_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_count = 0  # 0: not decided yet


def get_num_threads() -> int:
    """How many threads a large loop is spread over."""
    global _count
    if not _count:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        limits = (os.environ.get(name, "") for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"))
        _count = min([cores, *(int(limit) for limit in limits if limit.isdigit() and int(limit) > 0)])
    return _count


def set_num_threads(num: int) -> None:
    """Spread large loops over `num` threads, and NumPy's matrix products as well where threadpoolctl is installed.

    Raises TypeError unless num is an integer, RuntimeError unless it is positive.
    """
    global _count, _pool
    if not isinstance(num, int) or isinstance(num, bool):
        raise TypeError(f"set_num_threads expects an int, but got {type(num).__name__}")
    if num < 1:
        raise RuntimeError(f"set_num_threads expects a positive integer, but got {num}")
    with _lock:
        _count, _pool = num, None  # threads at work finish what they have
    set_blas_threads(num)


def parallel_for(loop: Callable, items: int, least: int, *arguments: Any, most: int | None = None) -> None:
    """Call loop(*arguments, part, first, last) for parts that make up range(items), of at least `least` items each.

    most: no more parts than that; as many as there are threads without it. A loop in which each part has memory of its own
    needs it: another thread may set the number of threads meanwhile.
    """
    parts = 1 if items < 2 * least else min(most or _count or get_num_threads(), items // max(least, 1))
    if parts <= 1:
        loop(*arguments, 0, 0, items)
        return
    ends = [items * k // parts for k in range(parts + 1)]
    others: list[Future] = []
    try:
        for k in range(1, parts):
            others.append(_submit(loop, *arguments, k, ends[k], ends[k + 1]))
        loop(*arguments, 0, 0, ends[1])
    finally:  # also after Ctrl-C: nobody writes to an array that its owner has given up
        for other in others:
            other.result()


def undisturbed(function: Callable, *arguments: Any) -> Any:
    """What the function returns, called in a thread that Ctrl-C does not reach.

    It comes up in the main thread. There it would leave Numba in halves, of no use for the rest of the process, while it
    compiles or is imported.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    return _submit(function, *arguments).result() if in_main_thread else function(*arguments)


def _submit(loop: Callable, *arguments: Any) -> Future:
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(get_num_threads(), "tinygrad_norm")
        try:
            return _pool.submit(loop, *arguments)
        except RuntimeError:  # the program has ended, and its threads: this is a thread of the user's, or a call by atexit
            done = Future[Any]()
    try:
        done.set_result(loop(*arguments))
    except BaseException as error:
        done.set_exception(error)
    return done


large_product = threading.Lock()  # held while BLAS adds up a large array on its own threads: it cannot be forked meanwhile


def _forget() -> None:
    """In a process that was forked the threads are gone."""
    global _pool, _lock, large_product
    _pool, _lock, large_product = None, threading.Lock(), threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=lambda: large_product.acquire(), after_in_parent=lambda: large_product.release(), after_in_child=_forget
    )


# ---- BLAS ---------------------------------------------------------------------------------
#
# OpenBLAS's threads spin while they wait for one another. Where another process has one of two cores, a step of LeNet takes
# nine times as long on two such threads as on one; where nobody has, one is no more than a tenth slower, since the products
# are small. So a small product runs on one thread, for all products of the process, until a large one comes.

_LARGE = 2**24  # multiplications, 0.1 to 0.3 ms, from which on a second thread is worth it
_blas: Any = None  # threadpoolctl's view of the BLAS libraries; an empty list without it
_blas_threads = 0  # what was set last; 0: nothing yet


def before_product(multiplications: int) -> None:
    """Give the next matrix product of so many multiplications one thread, or all; without threadpoolctl nothing happens."""
    wanted = 1 if multiplications < _LARGE else get_num_threads()
    if wanted != _blas_threads:
        set_blas_threads(wanted)


def one_blas_thread() -> bool:
    """Give the next matrix products one thread; False where that cannot be done, for want of threadpoolctl."""
    if _blas_threads != 1:
        set_blas_threads(1)
    return bool(_blas)


def set_blas_threads(num: int) -> None:
    """Let NumPy's matrix products use `num` threads."""
    global _blas, _blas_threads
    with _lock:
        if _blas is None:
            _blas = _blas_libraries()
        for library in _blas:
            library.set_num_threads(num)
        _blas_threads = num


def _blas_libraries() -> list[Any]:
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return []
    return ThreadpoolController().select(user_api="blas").lib_controllers
