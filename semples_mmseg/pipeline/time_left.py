"""Time left of a pipeline, from the lengths of its steps and what the running one has logged."""

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

    The pace, seconds by unit of length, is that of the finished steps and of the running one, so
    every step that ends corrects the rest.

    Args:
        lengths: Of each step, in any unit that they share; 0 if not known: the time left is then
            that of the running step.
    """

    def __init__(self, lengths: Sequence[float]) -> None:
        self._lengths = lengths
        self._seconds: dict[int, float] = {}

    @property
    def spent(self) -> float:
        """Seconds that the finished steps took."""
        return sum(self._seconds.values())

    def finish(self, step: int, seconds: float) -> None:
        """Note how long a step took, by its position."""
        self._seconds[step] = seconds

    def seconds(self, running: int, elapsed: float, left: float | None) -> float | None:
        """Seconds until the last step ends.

        Args:
            running: Position of the running step.
            elapsed: Seconds since it began.
            left: Seconds until it ends, if it has said so.

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
