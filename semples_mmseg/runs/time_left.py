"""One line of progress of a run: step, share done, and time left."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta

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
    return str(timedelta(seconds=round(seconds)))


class Progress(ExitStack):
    """Shows the line on a terminal while steps run; without one, or if ``plain``, every minute.

    The pace, in seconds per unit of length, is measured on the finished steps and the running one,
    so every finished step corrects the time left. Lengths of steps have any common unit.
    """

    def __init__(self, console: Console, lengths: Sequence[float], plain: bool = False) -> None:
        super().__init__()
        self._console, self._lengths, self._spent = console, lengths, list[float]()
        self._status = None
        if console.is_terminal and not plain:
            self._status = self.enter_context(Status('', console=console))

    def begin(self, title: str) -> None:
        """A step begins, with this title."""
        self._title, self._ends = title, math.nan
        self._start = self._printed = time.monotonic()
        self._show(title)

    def update(self, eta: float | None) -> None:
        """Update the line, often; ``eta`` is the time that the step has just logged, if any."""
        now = time.monotonic()
        if eta is not None:
            self._ends = now + eta
        if self._status is None and now - self._printed < PAUSE:
            return
        self._printed, elapsed, line = now, now - self._start, self._title
        running, spent = len(self._spent), sum(self._spent)
        done, length = sum(self._lengths[:running]), self._lengths[running]
        own = self._ends - now
        if done and math.isnan(own):
            own = spent / done * length - elapsed
        if not math.isnan(own):
            own = max(own, 0.0)
            pace = (spent + elapsed + own) / (done + length)
            left = own + pace * sum(self._lengths[running + 1 :])
            share = (spent + elapsed) / (spent + elapsed + left or 1)
            line += f': {100 * share:.0f} %, {duration(left)} left'
        self._show(line)

    def finish(self, seconds: float) -> None:
        """The step has ended, or was complete, and took this time."""
        self._spent.append(seconds)

    def _show(self, line: str) -> None:
        if self._status:
            self._status.update(Text(line))
        else:
            self._console.print(line)
