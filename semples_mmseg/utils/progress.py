"""One line of progress of long work: description, share done, and time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Item = TypeVar('Item')

EVERY = 60.0
"""Seconds between two lines where stderr is no terminal."""


def progress(items: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """Yield the items and show on stderr how many are done and the time left.

    A terminal has one line, which changes; a file gets a line every minute.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    console = Console(stderr=True)
    if not console.is_terminal:
        yield from _lines(items, description, total)
        return
    text = TextColumn('{task.description}', markup=False)
    columns = (text, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as shown:
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
