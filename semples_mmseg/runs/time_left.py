"""Time left of a pipeline, from the lengths of its steps and the log of the running one."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence

_ETA = re.compile(r'eta: (?:(\d+) days?, )?(\d+):(\d+):(\d+)')
"""Time left in the log lines of MMEngine."""


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


def duration(seconds: float) -> str:
    """As hours, minutes and seconds, ``0:01:20``."""
    return str(datetime.timedelta(seconds=round(seconds)))
