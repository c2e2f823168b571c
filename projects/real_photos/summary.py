"""Write the tables of the study, of the runs that are there.

python projects/real_photos/summary.py work_dirs/real_photos projects/real_photos/RESULTS.md
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from semples_mmseg.cli.errors import exit_codes
from semples_mmseg.runs.tables import interval, row, spread, write_between
from semples_mmseg.utils.files import read_json

CAMS = dict(stage_0='stage 0', match='(a)', refine='(c)')
DIRECTIONS = dict(
    no_text='prompts without the text term',
    other_prompts="another class's prompts",
    manual='manual prompts',
    small_lambda='λ / 4',
    large_lambda='λ x 5',
)
FIGURES = {
    'mAP of stage 0, tags of photos held out': ('cams', 'stage_0', 'mAP_coarse'),
    'pseudo masks without CRF': ('plain',),
    'pseudo masks with dense CRF': ('masks', 'mIoU'),
    'pseudo masks with PAMR': ('pamr_measured', 'masks', 'mIoU'),
    'pseudo masks with segment voting': ('voted_measured', 'masks', 'mIoU'),
    'retrained model, photos held out': ('segmenter/metrics', 'mIoU'),
    'Spearman of confidence and true IoU, x 100': ('rank',),
}


def read_cell(run: Path) -> dict[str, Any]:
    """What a run has measured so far."""
    names = ('cams', 'directions', 'words', 'segmenter/metrics')
    names += ('masks_measured', 'pamr_measured', 'voted_measured')
    files = {name: run / f'{name}.json' for name in names}
    cell: dict[str, Any] = {name: read_json(path) for name, path in files.items() if path.exists()}
    cell = dict(cell, cams=cell.get('cams', {}) | cell.get('directions', {}))
    if masks := cell.get('masks_measured'):
        ranks = spearmanr(*zip(*(tag[2:] for tag in masks['tags']), strict=True))
        cell |= dict(masks, rank=100 * ranks[0])
        cell['plain'] = cell['cams']['refine']['curve'][str(masks['score'])]
    return cell


def cams_row(title: str, cells: Sequence[dict[str, Any]], name: str, other: str = '') -> str:
    """CAMs at the best background score and at CLIP's, and their gain over other ones."""
    cells = [cell for cell in cells if name in cell['cams']]
    found = [cell['cams'][name] for cell in cells]
    best, chosen, score = ([one[key] for one in found] for key in ('best', 'mIoU', 'score'))
    before = [cell['cams'][other]['best'] for cell in cells] if other else []
    gain = interval(np.subtract(best, before)) if other else ''
    shown = f'{np.mean(score):.2f}' if score else '-'
    return row(title, len(cells), spread(best), spread(chosen), shown, gain)


def figure(cell: Any, keys: Sequence[str]) -> float | None:
    """A number of a cell, if it was measured."""
    for key in keys:
        cell = cell.get(key) if isinstance(cell, dict) else None
    return cell


def make_tables(cells: Sequence[dict[str, Any]]) -> str:
    """The tables of a data set."""
    head = row('CAMs', 'seeds', 'best score', "CLIP's score", 'that is', 'gain')
    lines = [head, '|---' * 6 + '|', cams_row('stage 0', cells, 'stage_0')]
    lines.append(cams_row('(a), gain over stage 0', cells, 'match', 'stage_0'))
    lines.append(cams_row('(c), gain over (a)', cells, 'refine', 'match'))
    for name, title in DIRECTIONS.items():
        lines.append(cams_row(f'{title}, gain over (c)', cells, name, 'refine'))
    lines += ['', row('', 'seeds', 'value'), '|---|---|---|']
    for title, keys in FIGURES.items():
        values = [value for cell in cells if (value := figure(cell, keys)) is not None]
        lines.append(row(title, len(values), spread(values)))
    words = [cell['words'] for cell in cells if 'words' in cell]
    lines += ['', row('class', 'nearest words of its prompt, by seed'), '|---|---|']
    for name in words[0] if words else ():
        near = (', '.join(word['word'] for word in found[name][:4]) for found in words)
        lines.append(row(name, '; '.join(near)))
    return '\n'.join(lines)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description='Write the tables of the study')
    parser.add_argument('runs', type=Path, help='--out of run.py')
    parser.add_argument('page', type=Path, help='the Markdown file to write them into')
    args = parser.parse_args()
    for name in ('msrc', 'voc_animals'):
        cells = [read_cell(run) for run in sorted(args.runs.glob(f'{name}_*'))]
        write_between(args.page, name, make_tables(cells))


if __name__ == '__main__':
    with exit_codes():
        main()
