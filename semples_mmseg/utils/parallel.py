"""Long work: worker processes with results in the order of the tasks, and a line of progress."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from types import ModuleType
from typing import Any, TypeVar

from .errors import Refusal, RunError

Item = TypeVar('Item')

EVERY = 60.0
"""Seconds between two lines where stderr is no terminal."""
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

    Every worker gets 32 items or more; what is enough for one alone is done in this process. By
    default there are as many as usable cores; see ``WorkerPool`` for the function.
    """
    workers = usable_cores() if num_workers is None else num_workers
    workers = min(workers, len(items) // ITEMS_PER_WORKER)
    with WorkerPool(function, 0 if workers == 1 else workers) as pool:
        for item in items:
            yield from pool.put(item)
        yield from pool.wait()


class WorkerPool:
    """Calls one function in several processes; a context manager that ends them.

    The processes end with this one, even if it is killed. The function is one of a module, or an
    object that can be pickled; with 0 workers it is called in this process.
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
        """Add a task, perhaps after a wait; results that are ready, in the order of tasks."""
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


def progress(items: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """Yield the items and show on stderr how many are done: one line, or one a minute in a file."""
    from rich import console as rich_console  # semples-mmseg doctor says if it is missing
    from rich import progress as rich

    if total is None and isinstance(items, Sized):
        total = len(items)
    console = rich_console.Console(stderr=True)
    if not console.is_terminal:
        yield from _lines(items, description, total)
        return
    text = rich.TextColumn('{task.description}', markup=False)
    columns = (text, rich.BarColumn(), rich.MofNCompleteColumn(), rich.TimeRemainingColumn())
    with rich.Progress(*columns, console=console) as shown:
        yield from shown.track(items, total, description=description)


def _lines(items: Iterable[Item], description: str, total: int | None) -> Iterator[Item]:
    start = said = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if now - said >= EVERY:
            said = now
            left = ''
            if total and done:
                minutes = (now - start) / done * (total - done) / 60
                left = f' of {total}, about {max(round(minutes), 1)} min left'
            print(f'{description}: {done}{left}', file=sys.stderr, flush=True)
        yield item
