"""Worker processes behind a bounded queue, with results in the order of the tasks."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from types import ModuleType
from typing import Any

from .errors import Refusal, RunError

ITEMS_PER_WORKER = 32
"""With fewer items a process is not worth its start, which takes seconds."""


def usable_cores() -> int:
    """Number of CPU cores for each process of the job on this machine, at least 1."""
    affinity = getattr(os, 'sched_getaffinity', None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(cores // int(os.environ.get('LOCAL_WORLD_SIZE', 1)), 1)


def parallel_map(
    function: Callable[[Any], Any], items: Sequence[Any], num_workers: int | None = None
) -> Iterator[Any]:
    """Apply a function to every item in worker processes; yields the results in order.

    Every worker gets 32 items or more; a shorter list is processed in this process, as with 0
    workers. By default there are as many as usable cores; see ``WorkerPool`` for the function.
    """
    workers = usable_cores() if num_workers is None else num_workers
    with WorkerPool(function, min(workers, len(items) // ITEMS_PER_WORKER)) as pool:
        for item in items:
            yield from pool.put(item)
        yield from pool.wait()


class WorkerPool:
    """Calls one function in several processes; a context manager that ends them.

    The processes end with this one, even if it is killed.

    Args:
        function: What the workers call; a function of a module, or an object that can be pickled.
        num_workers: Number of processes; with 0 the function is called in this one.
    """

    def __init__(self, function: Callable[..., Any], num_workers: int) -> None:
        if num_workers < 0:
            raise Refusal(f'`num_workers` must be 0 or more, got {num_workers}.')
        self._function = function
        self._waiting: deque[Future] = deque()
        self._limit = 2 * num_workers
        self._executor: ProcessPoolExecutor | None = None
        if num_workers:
            # Forked from a new process, because threads and CUDA of this one do not survive a
            # fork.
            methods = multiprocessing.get_all_start_methods()
            method = 'forkserver' if 'forkserver' in methods else 'spawn'
            context = multiprocessing.get_context(method)
            if method == 'forkserver':
                context.set_forkserver_preload([__name__, function.__module__])
            self._executor = ProcessPoolExecutor(num_workers, context, initializer=_start_worker)

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def put(self, *arguments: Any) -> list[Any]:
        """Add a task; wait while more than two tasks per worker are unfinished.

        Returns the results that are ready, in the order of their tasks. What a task raised is
        raised here, and closes the pool.
        """
        if self._executor is None:
            return [self._function(*arguments)]
        done = []
        while self._waiting and (self._waiting[0].done() or len(self._waiting) >= self._limit):
            done.append(self._next())
        with _nameless_script():
            self._waiting.append(self._executor.submit(self._function, *arguments))
        return done

    def wait(self) -> list[Any]:
        """Wait for the tasks that are left, and return their results as ``put`` does."""
        return [self._next() for _ in range(len(self._waiting))]

    def close(self) -> None:
        """End the workers; running tasks are finished, waiting ones dropped."""
        self._waiting.clear()
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)

    def _next(self) -> Any:
        try:
            return self._waiting.popleft().result()
        except BrokenProcessPool as error:
            self.close()
            raise RunError(
                'a worker process was killed, probably because memory ran out; run the same '
                'command with fewer of them (num_workers). Finished files are kept.'
            ) from error
        except BaseException:
            self.close()
            raise


@contextlib.contextmanager
def _nameless_script() -> Iterator[None]:
    """Start processes that do not import the script of this one, which may lack a main guard."""
    script = sys.modules['__main__']
    sys.modules['__main__'] = ModuleType('__main__')
    try:
        yield
    finally:
        sys.modules['__main__'] = script


def _start_worker() -> None:
    """Prepare a worker: one thread, a silent end at Ctrl-C, and an end with its parent."""
    # The parent gets Ctrl-C too, and should not wait for long tasks.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.environ['OMP_NUM_THREADS'] = '1'
    if 'torch' in sys.modules:  # not needed by every task
        sys.modules['torch'].set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End the worker with its parent; otherwise it waits for tasks forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
