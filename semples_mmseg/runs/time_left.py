"""Time left of a run, from the lengths of its steps and the log of the running one."""

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


class TimeLeft:
    """Estimate of the time left.

    The pace, in seconds per unit of length, is measured on the finished steps and the running one,
    so every finished step corrects the estimate.

    Args:
        lengths: Length of each step, in any common unit; 0 if not known: the time left is then that
            of the running step.
    """

    def __init__(self, lengths: Sequence[float]) -> None:
        self._lengths = lengths
        self._seconds: dict[int, float] = {}

    @property
    def spent(self) -> float:
        """Seconds that the finished steps took."""
        return sum(self._seconds.values())

    @property
    def is_of_all(self) -> bool:
        """Whether the time left is for all steps."""
        return all(self._lengths)

    def finish(self, step: int, seconds: float) -> None:
        """Record the seconds that the step at a position took."""
        self._seconds[step] = seconds

    def seconds(self, running: int, elapsed: float, left: float | None) -> float | None:
        """Seconds until the last step ends.

        Args:
            running: Position of the running step.
            elapsed: Seconds since it began.
            left: Seconds until it ends, if it has logged them.

        Returns:
            None as long as nothing is known.
        """
        done = sum(self._lengths[step] for step in self._seconds)
        own, rest = self._lengths[running], sum(self._lengths[running + 1 :])
        if left is None:
            if not done:
                return None
            left = max(self.spent / done * own - elapsed, 0.0)
        known = done + own
        pace = (self.spent + elapsed + left) / known if known else 0.0
        return left + pace * rest


class Progress:
    """A line with the running step, the share done and the time left.

    Args:
        console: A terminal shows the line while steps run; else it is printed every minute.
        times: Estimate of the time left.
        plain: Print lines on a terminal too, because it shows the output of the steps.
    """

    def __init__(self, console: Console, times: TimeLeft, plain: bool = False) -> None:
        self._console, self._times = console, times
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

    def begin(self, step: int, title: str) -> None:
        """A step begins, with this title."""
        self._step, self._title = step, title
        self._ends: float | None = None
        self._start = self._printed = time.monotonic()
        if self._status:
            self._status.update(Text(title))
        else:
            self._console.print(title, markup=False)

    def show(self, eta: float | None) -> None:
        """Update the line, often.

        Args:
            eta: Seconds left of the running step, if it has just logged them.
        """
        now = time.monotonic()
        if eta is not None:
            self._ends = now + eta
        if self._status is None and now - self._printed < PAUSE:
            return
        own = None if self._ends is None else max(self._ends - now, 0.0)
        elapsed = now - self._start
        left = self._times.seconds(self._step, elapsed, own)
        line = self._title
        if left is not None:
            of_all = self._times.is_of_all
            spent = elapsed + (self._times.spent if of_all else 0.0)
            unit = 'left' if of_all else 'left in this step'
            line += f': {100 * spent / (spent + left or 1):.0f} %, {duration(left)} {unit}'
        if self._status:
            self._status.update(Text(line))
        else:
            self._printed = now
            self._console.print(line, markup=False)


def duration(seconds: float) -> str:
    """As hours, minutes and seconds, ``0:01:20``."""
    return str(datetime.timedelta(seconds=round(seconds)))
