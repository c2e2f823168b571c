"""Table of a published pipeline: its figures beside the paper's."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ..utils.files import read_json
from ..utils.io import write_json
from .benchmarks import Benchmark

# Title of the row, file of the figure, its key, row of the paper.
ROWS = (
    ('seeds, at the best background score', 'seeds.json', 'seed_mIoU', 'seed'),
    ('pseudo masks (CAM, CRF)', 'masks.json', 'mIoU', None),
    ('Segmenter on labelled train ("mask")', 'labelled_train.json', 'mIoU', 'mask'),
    ('Segmenter on val', 'val.json', 'mIoU', 'val'),
)


def report_published(benchmark: Benchmark, folder: Path, console: Console) -> dict[str, Any]:
    """Collect the figures of a run, print the table, write ``results.json``.

    The paper does not define its "mask" figure; it is shown beside the one that WeakTr publishes.

    Args:
        benchmark: The data set.
        folder: Folder of the steps' results.
        console: Where the table is printed.

    Returns:
        Content of ``results.json``: ``ours`` and ``paper``, mIoU in percent by row.
    """
    ours, table = {}, Table(title=f'SemPLeS on {benchmark.title}, mIoU in %')
    for column in ('', 'this run', 'the paper'):
        table.add_column(column, justify='right' if column else 'left')
    for title, file, key, row in ROWS:
        if not (folder / file).is_file():
            continue
        ours[title] = read_json(folder / file)[key]
        paper = benchmark.paper.get(row) if row else None
        table.add_row(title, f'{ours[title]:.1f}', f'{paper:.1f}' if paper else '')
    results = dict(ours=ours, paper=dict(benchmark.paper))
    write_json(folder / 'results.json', results)
    console.print(table)
    console.print(f'figures: {folder / "results.json"}')
    return results
