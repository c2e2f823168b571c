"""The study's results as a Markdown table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from semples_mmseg.demo.world import HABITATS
from semples_mmseg.utils import atomic_write

BEGIN, END = '<!-- study: begin -->', '<!-- study: end -->'
STAGES = {'classify': 'stage 0', 'match': '(a)', 'refine': '**(c)**'}


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
    """Seed mIoU of every cell, training / held-out scenes, with mean and standard deviation."""
    cells = list(results)
    names = list(dict.fromkeys(name for cell in results.values() for name in cell['seeds']))
    lines = [
        '| | ' + ' | '.join(cells) + ' | mean | s.d. |',
        '|---' * (len(cells) + 3) + '|',
    ]
    for name in names:
        pairs = [_seeds(results[cell], name) for cell in cells]
        title = STAGES.get(name, f'(c) {name}' if name != 'joint' else 'joint')
        lines.append(_row(title, pairs))
    segmenter = [(None, results[cell]['segmenter']['mIoU']) for cell in cells]
    lines.append(_row('Segmenter', segmenter))
    hits = [
        sum(a == b for a, b in zip(results[cell]['nearest_words'], HABITATS, strict=True))
        for cell in cells
    ]
    total = f'{np.mean(hits):.1f}'
    lines.append(
        '| prompts nearest to their habitual background, of 6 | '
        + ' | '.join(map(str, hits))
        + f' | {total} | |'
    )
    return '\n'.join(lines)


def _seeds(cell: dict[str, Any], name: str) -> tuple[float | None, float | None]:
    values = cell['seeds'].get(name)
    if values is None:
        return None, None
    return values['train']['seed_mIoU'], values['val']['seed_mIoU']


def _row(title: str, pairs: Sequence[tuple[float | None, float | None]]) -> str:
    text = [' / '.join('-' if v is None else f'{v:.1f}' for v in pair) for pair in pairs]
    columns = [[v for v in column if v is not None] for column in zip(*pairs, strict=True)]
    means = ' / '.join(f'{np.mean(c):.1f}' if c else '-' for c in columns)
    spread = ' / '.join(f'{np.std(c, ddof=1):.1f}' if len(c) > 1 else '-' for c in columns)
    return f'| {title} | ' + ' | '.join(text) + f' | {means} | {spread} |'
