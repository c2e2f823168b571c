"""One line of progress of a run: step, share done, and time left."""

from __future__ import annotations

import datetime
import re
import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.status import Status
from rich.text import Text

_ETA = re.compile(r'eta: (?:(\d+) days?, )?(\d+):(\d+):(\d+)')
"""Time left in the log lines of MMEngine."""
PAUSE = 60.0
"""Seconds between two lines without a terminal."""


def logged_eta(text: str) -> float | None:
    """Seconds left according to the last log line of MMEngine in a text; None if it has none."""
    if not (found := _ETA.findall(text)):
        return None
    days, hours, minutes, seconds = (int(number or 0) for number in found[-1])
    return ((days * 24 + hours) * 60 + minutes) * 60.0 + seconds


def duration(seconds: float) -> str:
    """As hours, minutes and seconds, ``0:01:20``."""
    return str(datetime.timedelta(seconds=round(seconds)))


def seconds_left(
    lengths: Sequence[float], spent: Sequence[float], elapsed: float, own: float | None
) -> float | None:
    """Seconds until the last step ends; None as long as nothing is known.

    The pace, in seconds per unit of length, is measured on the finished steps and the running one,
    so every finished step corrects the estimate.

    Args:
        lengths: Length of each step, in any common unit; 0 if not known: the time left is then that
            of the running step.
        spent: Seconds of the finished steps, the first of all.
        elapsed: Seconds since the running step began, the one after them.
        own: Seconds until it ends, if it has logged them.
    """
    running = len(spent)
    done, length = sum(lengths[:running]), lengths[running]
    if own is None:
        if not done:
            return None
        own = max(sum(spent) / done * length - elapsed, 0.0)
    known = done + length
    pace = (sum(spent) + elapsed + own) / known if known else 0.0
    return own + pace * sum(lengths[running + 1 :])


class Progress:
    """Shows the line on a terminal while steps run; without a terminal it is printed every minute.

    Args:
        console: Where it is shown.
        lengths: See ``seconds_left``.
        plain: Print lines on a terminal too, because it shows the output of the steps.
    """

    def __init__(self, console: Console, lengths: Sequence[float], plain: bool = False) -> None:
        self._console, self._lengths, self._spent = console, lengths, list[float]()
        self._status = None if plain or not console.is_terminal else Status('', console=console)

    def __enter__(self) -> Progress:
        if self._status:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        if self._status:
            self._status.stop()

    def begin(self, title: str) -> None:
        """A step begins, with this title."""
        self._title, self._ends = title, list[float]()
        self._start = self._printed = time.monotonic()
        self._show(title)

    def update(self, eta: float | None) -> None:
        """Update the line, often; ``eta`` is the time that the step has just logged, if any."""
        now = time.monotonic()
        if eta is not None:
            self._ends = [now + eta]
        if self._status is None and now - self._printed < PAUSE:
            return
        self._printed, elapsed = now, now - self._start
        own = max(self._ends[0] - now, 0.0) if self._ends else None
        left, line = seconds_left(self._lengths, self._spent, elapsed, own), self._title
        if left is not None:
            of_all = all(self._lengths)
            spent = elapsed + (sum(self._spent) if of_all else 0.0)
            unit = 'left' if of_all else 'left in this step'
            line += f': {100 * spent / (spent + left or 1):.0f} %, {duration(left)} {unit}'
        self._show(line)

    def finish(self, seconds: float) -> None:
        """The step has ended, or was complete, and took this time."""
        self._spent.append(seconds)

    def _show(self, line: str) -> None:
        if self._status:
            self._status.update(Text(line))
        else:
            self._console.print(line, markup=False)
