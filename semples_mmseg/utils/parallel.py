"""Long work: commands and tasks in processes, results in the order of tasks, a line of progress."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import multiprocessing
import os
import runpy
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from .errors import Refusal, RunError

Item = TypeVar('Item')

EVERY = 60.0
"""Seconds between two lines where stderr is no terminal."""
ITEMS_PER_WORKER = 32
"""With fewer items a process is not worth its start, which takes seconds."""
_METHOD = 'forkserver' if sys.platform == 'linux' else 'spawn'
"""Elsewhere packages start threads when they are imported, which a fork does not have."""
_USED = tuple(
    f'{__name__.partition(".")[0]}.{module}'
    for module in ('cli.evaluation', 'demo.conv_stem', 'masks.generate')
)
"""What commands import besides ``register_components``."""


def usable_cores() -> int:
    """Number of CPU cores for each process of the job on this machine, at least 1."""
    affinity = getattr(os, 'sched_getaffinity', None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(cores // int(os.environ.get('LOCAL_WORLD_SIZE', 1)), 1)


def prepare_children() -> None:
    """Start, without waiting for it, the process that commands are forked from on Linux.

    It imports the package, with those of OpenMMLab, and does nothing else: it has no threads, no
    random numbers that are used up, and nothing of a run.
    """
    if _METHOD == 'forkserver':
        _start_server(*_USED)


def _start_server(*modules: str) -> None:
    """Start the fork server, unless it runs; it imports modules, none of the working folder."""
    from multiprocessing import forkserver  # not on Windows

    multiprocessing.set_forkserver_preload([*modules])
    before = os.environ.get('PYTHONSAFEPATH', '')
    os.environ['PYTHONSAFEPATH'] = '1'
    try:
        forkserver.ensure_running()
    finally:
        os.environ['PYTHONSAFEPATH'] = before


def start_child(command: Sequence[str], log: Path) -> BaseProcess:
    """Start a command of Python, whose output is added to a log, in a process of its own.

    It gets SIGTERM when this process dies. Otherwise it would work on beside the one that the next
    run starts in the same folder.
    """
    prepare_children()
    context: Any = multiprocessing.get_context(_METHOD)
    process = context.Process(target=_run_command, args=(command, log, dict(os.environ)))
    with _nameless_script():
        process.start()
    return process


def _run_command(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
    """Run a command here as a process of its own would."""
    with open(log, 'ab') as output:
        for number in (1, 2):
            os.dup2(output.fileno(), number)
    sys.stdout = sys.stderr = os.fdopen(1, 'w', 1, 'utf-8', 'backslashreplace', closefd=False)
    os.environ.clear()
    os.environ.update(environment)
    if _METHOD != 'spawn':
        import numpy
        import torch
        from mmengine.device import get_device

        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # 1: PR_SET_PDEATHSIG
        # A GPU that was asked for before a fork cannot be used after it; and what starts several
        # processes stays as it is.
        if get_device() != 'cpu' or 'torch.distributed.run' in command:
            os.execv(command[0], [*command])
        numpy.random.seed()
        torch.seed()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    multiprocessing.set_start_method(None, force=True)
    gc.freeze()  # MMEngine's data sets collect garbage, among all that was imported
    sys.argv = [*command[2 if command[1] == '-m' else 1 :]]
    if command[1] == '-m':
        runpy.run_module(command[2], run_name='__main__', alter_sys=True)
    else:
        sys.path.insert(0, str(Path(command[1]).parent))
        runpy.run_path(command[1], run_name='__main__')


@contextlib.contextmanager
def _nameless_script() -> Iterator[None]:
    """Start processes that do not import the script of this one, which may lack a main guard."""
    script = sys.modules['__main__']
    sys.modules['__main__'] = ModuleType('__main__')
    try:
        yield
    finally:
        sys.modules['__main__'] = script


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
                _start_server(__name__, function.__module__)
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
        """End the workers, in the middle of a task where results are not waited for."""
        if self._executor is not None:
            for process in [*(self._executor._processes or {}).values()] if self._waiting else ():
                process.terminate()
            self._executor.shutdown(wait=True, cancel_futures=True)
        self._waiting.clear()

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


def _start_worker() -> None:
    """Prepare a worker: one thread, a silent end at Ctrl-C, and an end with its parent."""
    # The parent gets Ctrl-C too, and should not wait for long tasks.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.freeze()  # a collection would copy all that the parent process has imported
    os.environ['OMP_NUM_THREADS'] = '1'
    if 'torch' in sys.modules:  # not needed by every task
        sys.modules['torch'].set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process, by SIGTERM, with the one that started it."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)


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
