"""The table of results at the end of a run, as its recipe describes it.

A row is a title and a cell for every column: a number, None for an empty cell, or
``'FILE:KEY.KEY'``, a figure in a JSON file of the run. Figures of files that are not there, of
steps that the run does not have, stay empty; a row without figures of the run is left out.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import mmengine
import torch
from rich.console import Console
from rich.table import Table

from ..utils.files import read_json
from ..utils.io import write_json
from .recipe import Recipe

RESULTS = 'results.json'


def report_results(recipe: Recipe, console: Console) -> dict[str, Any]:
    """Print the table of results, and write and return the content of ``results.json``.

    That is the title, ``columns`` and the cells of ``rows`` by title, mIoU in percent;
    ``differs_from_paper`` of the configs by file name; ``versions``.
    """
    table = Table('', title=f'{recipe.title}, mIoU in %')
    for column in recipe.columns:
        table.add_column(column, justify='right')
    rows: dict[str, list[float | None]] = {}
    for title, *cells in recipe.rows:
        found = [_figure(recipe.folder, cell) for cell in cells]
        read = [value for cell, value in zip(cells, found, strict=True) if isinstance(cell, str)]
        if read.count(None) < len(read):
            rows[title] = found
            table.add_row(title, *('' if value is None else f'{value:.1f}' for value in found))
    configs = {step.config_file.stem: step.resolved for step in recipe.steps if step.config}
    differs = {name: config.get('differs_from_paper') for name, config in configs.items()}
    results = dict(
        title=recipe.title,
        columns=[*recipe.columns],
        rows=rows,
        differs_from_paper={name: lines for name, lines in differs.items() if lines},
        versions=dict(
            python=platform.python_version(), torch=torch.__version__, mmengine=mmengine.__version__
        ),
    )
    write_json(recipe.folder / RESULTS, results)
    console.print(table)
    console.print(
        'Seeds are cut at the background score with the best mIoU, which needs pixel labels: '
        'a diagnostic.',
        style='dim',
    )
    console.print(f'figures: {recipe.folder / RESULTS}')
    last = recipe.steps[-1]
    for path in last.paths(last.outputs).values():
        console.print(f'{last.name}: {path}')
    return results


def _figure(folder: Path, cell: Any) -> float | None:
    if not isinstance(cell, str):
        return cell
    name, _, keys = cell.rpartition(':')
    if not (folder / name).is_file():
        return None
    value = read_json(folder / name)
    for key in keys.split('.'):
        value = value[int(key) if isinstance(value, list) else key]
    return None if value is None else float(value)
