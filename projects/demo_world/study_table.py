"""The study's results as a Markdown table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from study import FULL

from semples_mmseg.demo.world import HABITATS
from semples_mmseg.utils.io import atomic_write

BEGIN, END = '<!-- study: begin -->', '<!-- study: end -->'
HEAD = (
    '| row | cells | training scenes | held-out scenes | difference to (c), one round |\n'
    '|---|---|---|---|---|'
)


def write_table(results: dict[str, Any], path: Path) -> None:
    """Write the table between the two marks in a Markdown file, or at its end.

    Args:
        results: Results of each cell, by its name.
        path: The file; created if missing.
    """
    text = path.read_text(encoding='utf-8') if path.exists() else f'{BEGIN}\n{END}\n'
    if BEGIN not in text:
        text += f'\n{BEGIN}\n{END}\n'
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    with atomic_write(path) as file:
        file.write(f'{before}{BEGIN}\n{make_table(results)}\n{END}{after}')


def make_table(results: dict[str, Any]) -> str:
    """Seed mIoU of every row, mean ± standard deviation over the cells that have it.

    The difference to the full method is paired by cell, on training scenes, with the 95 % interval
    of Student's t.
    """
    cells = [results[name] for name in sorted(results)]
    names = dict.fromkeys(name for cell in cells for name in cell['seeds'])
    lines = [HEAD]
    for name in names:
        train, val, full = (
            [cell['seeds'][row][split]['seed_mIoU'] for cell in cells if name in cell['seeds']]
            for row, split in ((name, 'train'), (name, 'val'), (FULL, 'train'))
        )
        gain = '' if name == FULL else _interval(np.subtract(train, full))
        lines.append(f'| {name} | {len(train)} | {_spread(train)} | {_spread(val)} | {gain} |')
    retrained = [cell['segmenter']['mIoU'] for cell in cells if 'segmenter' in cell]
    words = [
        sum(a == b for a, b in zip(cell['nearest_words'], HABITATS, strict=True))
        for cell in cells
        if 'nearest_words' in cell
    ]
    lines += [
        f'| Segmenter, mIoU | {len(retrained)} | | {_spread(retrained)} | |',
        '',
        f'Of 6 prompts {np.mean(words):.1f} (lowest {min(words)}) are nearest to the word of their '
        'habitual background.',
    ]
    return '\n'.join(lines)


def _spread(values: Sequence[float]) -> str:
    spread = f' ± {np.std(values, ddof=1):.1f}' if len(values) > 1 else ''
    return f'{np.mean(values):.1f}{spread}'


def _interval(gains: np.ndarray) -> str:
    """Mean and 95 % interval of paired differences."""
    mean = gains.mean()
    if len(gains) < 2:
        return f'{mean:+.1f}'
    half = stats.t.ppf(0.975, len(gains) - 1) * gains.std(ddof=1) / np.sqrt(len(gains))
    return f'{mean:+.1f} [{mean - half:+.1f}, {mean + half:+.1f}]'
