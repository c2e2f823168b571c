"""The same work on many files: a pool of processes, and progress with the time left."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Item = TypeVar('Item')
Result = TypeVar('Result')


def default_workers() -> int:
    """Number of processors this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_files(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    title: str,
    workers: int | None = None,
) -> list[Result]:
    """Apply a function to every item in a pool of processes, showing progress on stderr.

    Args:
        function: A function of a module, so that it can be sent to other processes.
        items: Its arguments.
        title: What is being done, for the progress bar.
        workers: Number of processes; 1 works in this one. All processors by default.

    Returns:
        The results in the order of ``items``.

    Raises:
        ValueError: If ``workers`` is below 1.
    """
    workers = default_workers() if workers is None else workers
    if workers < 1:
        raise ValueError(f'workers has to be 1 or more, got {workers}')
    progress = Progress(
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    if workers == 1:
        with progress:
            return list(progress.track(map(function, items), len(items), description=title))
    with ProcessPoolExecutor(workers) as pool:
        # The processes start here, before the progress bar's thread: forking is safe only so.
        results = pool.map(function, items, chunksize=max(1, min(32, len(items) // workers // 4)))
        with progress:
            return list(progress.track(results, len(items), description=title))
