"""Worker processes behind a bounded queue, with results in the order of the tasks."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any

import torch


def usable_cores() -> int:
    """CPU cores for each of the model's processes on this machine, at least one."""
    if hasattr(os, 'sched_getaffinity'):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(cores // int(os.environ.get('LOCAL_WORLD_SIZE', 1)), 1)


def _start_worker() -> None:
    """Prepare a worker process: one thread, and an end together with its parent's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it too, and ends the workers
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Without it the workers of a killed run would wait for tasks forever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


class WorkerPool:
    """Calls one function in several processes.

    Args:
        function: What the workers call; a function of a module, or an object that can be pickled.
        num_workers: How many there are, at least one.
    """

    def __init__(self, function: Callable[..., Any], num_workers: int) -> None:
        # Forked from a bare process: the model's own has threads and maybe CUDA, which do not
        # survive a fork.
        methods = multiprocessing.get_all_start_methods()
        context = multiprocessing.get_context('forkserver' if 'forkserver' in methods else 'spawn')
        if context.get_start_method() == 'forkserver':
            context.set_forkserver_preload([__name__, function.__module__])
        self._executor = ProcessPoolExecutor(num_workers, context, initializer=_start_worker)
        self._function = function
        self._waiting: deque[Future] = deque()
        self._limit = 2 * num_workers

    def put(self, *arguments: Any) -> list[Any]:
        """Add a task; wait while twice as many as there are workers are unfinished.

        Returns:
            Results that have come meanwhile, in the order of their tasks.

        Raises:
            Exception: What a task raised; the pool is closed, then.
        """
        done = []
        while self._waiting and (self._waiting[0].done() or len(self._waiting) >= self._limit):
            done.append(self._next())
        self._waiting.append(self._executor.submit(self._function, *arguments))
        return done

    def wait(self) -> list[Any]:
        """Wait for the tasks that are left; the workers stay.

        Returns:
            Their results, in order.

        Raises:
            Exception: What a task raised; the pool is closed, then.
        """
        return [self._next() for _ in range(len(self._waiting))]

    def finish(self) -> list[Any]:
        """:meth:`wait`, and end the workers."""
        done = self.wait()
        self.close()
        return done

    def close(self) -> None:
        """End the workers; tasks that none has begun are dropped, the others finished."""
        self._waiting.clear()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _next(self) -> Any:
        try:
            return self._waiting.popleft().result()
        except BrokenProcessPool as error:
            self.close()
            raise RuntimeError(
                'a worker process was killed, probably for want of memory; run the same command '
                'again with fewer of them (num_workers). What is finished is kept.'
            ) from error
        except BaseException:
            self.close()
            raise
