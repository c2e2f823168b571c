"""Tables of several runs in Markdown: means with their spread, and intervals of differences."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from ..utils.io import atomic_write


def row(*cells: Any) -> str:
    """A row of a table."""
    return f'| {" | ".join(map(str, cells))} |'


def spread(values: Sequence[float]) -> str:
    """Mean ± standard deviation; ``-`` of no values."""
    if not len(values):
        return '-'
    deviation = f' ± {np.std(values, ddof=1):.1f}' if len(values) > 1 else ''
    return f'{np.mean(values):.1f}{deviation}'


def interval(differences: Sequence[float]) -> str:
    """Mean of paired differences and its 95 % interval by Student's t; ``-`` of no values."""
    number = len(differences)
    if number < 2:
        return f'{differences[0]:+.1f}' if number else '-'
    mean, error = np.mean(differences), stats.sem(differences)
    half = stats.t.ppf(0.975, number - 1) * error
    return f'{mean:+.1f} [{mean - half:+.1f}, {mean + half:+.1f}]'


def write_between(path: Path, mark: str, text: str) -> None:
    """Replace what is between ``<!-- MARK: begin -->`` and ``<!-- MARK: end -->``, or append it."""
    begin, end = f'<!-- {mark}: begin -->', f'<!-- {mark}: end -->'
    old = path.read_text(encoding='utf-8') if path.exists() else ''
    if begin not in old:
        old += f'\n{begin}\n{end}\n' if old else f'{begin}\n{end}\n'
    before, rest = old.split(begin, 1)
    with atomic_write(path) as file:
        file.write(f'{before}{begin}\n{text}\n{end}{rest.split(end, 1)[1]}')
