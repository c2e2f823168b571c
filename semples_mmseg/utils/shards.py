"""A part of the images of a run, for independent runs at the same time."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

T = TypeVar('T')


class Shard(NamedTuple):
    """Part ``number`` (from 1) of ``total`` parts."""

    number: int
    total: int

    def of(self, items: Sequence[T]) -> list[T]:
        """Every ``total``-th item; the parts are disjoint and together have all items."""
        return list(items[self.number - 1 :: self.total])

    def __str__(self) -> str:
        return f'{self.number}/{self.total}'


def positions(total: int, indices: int | Sequence[int] | None) -> list[int]:
    """Positions of the images that the option ``indices`` of an MMEngine data set selects.

    Args:
        total: Number of all images.
        indices: A number (the first n, or if negative the last n), a list of positions, or ``None``
            for all.
    """
    every = list(range(total))
    if isinstance(indices, int):
        return every[:indices] if indices >= 0 else every[indices:]
    return every if indices is None else [every[index] for index in indices]


def shard(text: str) -> Shard:
    """Read ``--shard 2/8``.

    Raises:
        argparse.ArgumentTypeError: If it is not of this form, or there is no such part.
    """
    found = re.fullmatch(r'(\d+)/(\d+)', text)
    part = Shard(*map(int, found.groups())) if found else Shard(0, 0)
    if not 1 <= part.number <= part.total:
        raise argparse.ArgumentTypeError(
            f'expected PART/PARTS, from 1/PARTS to PARTS/PARTS, such as 2/8; got {text!r}'
        )
    return part
