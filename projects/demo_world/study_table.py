"""The study's results as a Markdown table."""

from pathlib import Path
from typing import Any

import numpy as np
from study import FULL

from semples_mmseg.demo.world import HABITATS
from semples_mmseg.runs.tables import interval, row, spread, write_between

HEAD = (
    '| row | cells | training scenes | held-out scenes | difference to (c), one round |\n'
    '|---|---|---|---|---|'
)


def write_table(results: dict[str, Any], path: Path) -> None:
    """Write the table of the results of cells, by name, into a Markdown file."""
    write_between(path, 'study', make_table(results))


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
            [cell['seeds'][which][split]['seed_mIoU'] for cell in cells if name in cell['seeds']]
            for which, split in ((name, 'train'), (name, 'val'), (FULL, 'train'))
        )
        gain = '' if name == FULL else interval(np.subtract(train, full))
        lines.append(row(name, len(train), spread(train), spread(val), gain))
    retrained = [cell['segmenter']['mIoU'] for cell in cells if 'segmenter' in cell]
    words = [
        sum(a == b for a, b in zip(cell['nearest_words'], HABITATS, strict=True))
        for cell in cells
        if 'nearest_words' in cell
    ]
    lines += [
        f'| Segmenter, mIoU | {len(retrained)} | | {spread(retrained)} | |',
        '',
        f'Of 6 prompts {np.mean(words):.1f} (lowest {min(words)}) are nearest to the word of their '
        'habitual background.',
    ]
    return '\n'.join(lines)
