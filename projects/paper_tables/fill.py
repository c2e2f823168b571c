"""Put the figures of runs into a table of the paper, ours beside the paper's, as Markdown.

python projects/paper_tables/fill.py 1 ours=work_dirs/voc12
python projects/paper_tables/fill.py 5 0.05=work_dirs/voc_refine 0.1=work_dirs/voc_lambda_0p1

A run is the folder of tools/run_pipeline.py or of tools/train.py. The name before `=` is its row:
in tables 4 to 6 one of the paper's or a new one, in tables 1 to 3 a method. Several runs of a row
become mean ± standard deviation. Without seeds.json (tools/test.py --metrics) the seeds are those
of the last validation during training.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from semples_mmseg.runs.tables import row as line
from semples_mmseg.runs.tables import spread
from semples_mmseg.utils.errors import Missing
from semples_mmseg.utils.files import read_json

# Figures of SemPLeS (arXiv 2401.11791), and those published of other methods: of the columns of
# tables 1 to 3.
_METHODS = {
    'SemPLeS': ('68.7', '-', '-', '78.3', '74.2', '74.8', '44.9'),
    'WeakTr': ('66.2 to 69.4', '-', '-', '76.5', '74.0', '-', '46.9'),
    'CLIP-ES': ('70.8', '-', '-', '75.0', '71.1', '71.4', '45.4'),
    'CLIMS': ('57.5', '-', '-', '72.8', '69.3', '68.7', '-'),
}
_COLUMNS = {
    1: dict(seed='seeds', mask='pseudo masks', labelled='labelled train', other='"mask"'),
    2: dict(val='val', test='test'),
    3: dict(val='val'),
}
_PUBLISHED: dict[int, dict[str, tuple[str, ...]]] = {
    1: {name: row[:4] for name, row in _METHODS.items()},
    2: {name: row[4:6] for name, row in _METHODS.items()},
    3: {name: row[6:] for name, row in _METHODS.items()},
    4: dict(match=('67.6',), text=('67.7',), image=('67.9',), all=('68.7',)),
    5: {'0': ('67.6',), '0.01': ('68.3',), '0.02': ('68.4',), '0.05': ('68.7',), '0.1': ('67.8',)},
    6: {'joint': ('65.9',), '1 round': ('68.7',), '2 rounds': ('68.5',), '3 rounds': ('68.4',)},
}
TITLES = {
    1: 'seeds and masks, VOC train',
    2: 'segmentation, VOC',
    3: 'segmentation, COCO',
    4: 'seeds by the terms of the losses',
    5: 'seeds by λ of eq. 3',
    6: 'seeds by scheme of training',
}


def figures(folder: Path) -> dict[str, float]:
    """The figures of a run that are there, by name.

    Raises:
        Missing: If there are none.
    """
    files = dict(
        seed=('seeds.json', 'seed_mIoU'),
        mask=('masks.json', 'mIoU'),
        labelled=('labelled_train.json', 'mIoU'),
        val=('val.json', 'mIoU'),
    )
    found = {
        name: float(read_json(folder / file)[key])
        for name, (file, key) in files.items()
        if (folder / file).is_file()
    }
    for work in (folder / 'semples', folder):
        if 'seed' not in found and (work / 'stages.json').is_file():
            found['seed'] = float(read_json(work / 'stages.json')[-1]['metrics']['seed_mIoU'])
    if not found:
        raise Missing(f'{folder} holds no figures: give the folder of a complete run')
    return found


def fill(number: int, runs: list[tuple[str, Path]]) -> str:
    """The table as Markdown; ``runs`` are rows and folders."""
    columns, published = _COLUMNS.get(number, dict(seed='seeds')), _PUBLISHED[number]
    lines = [f'**Table {number}: {TITLES[number]}, mIoU in %**', '']
    lines += [line('row', 'figures', *columns.values()), line(*['---'] * (2 + len(columns)))]
    for row in dict.fromkeys([*published, *(row for row, _ in runs)]):
        ours = [figures(folder) for name, folder in runs if name == row]
        if row in published:
            lines.append(line(row, 'published', *published[row]))
        if ours:
            cells = [spread([run[key] for run in ours if key in run]) for key in columns]
            lines.append(line(row, f'ours, {len(ours)}', *cells))
    return '\n'.join(lines)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description='Fill a table of the paper')
    parser.add_argument('table', type=int, choices=TITLES)
    parser.add_argument('runs', nargs='+', metavar='ROW=FOLDER')
    args = parser.parse_args()
    given = [run.partition('=') for run in args.runs]
    print(fill(args.table, [(row, Path(folder)) for row, _, folder in given]))
