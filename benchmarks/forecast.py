"""The forecast of ``--measure`` for the demo beside what the demo then takes.

python -m benchmarks.forecast
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from rich.console import Console

from semples_mmseg import register_components
from semples_mmseg.runs.forecast import forecast
from semples_mmseg.runs.recipe import Recipe, read_recipe
from semples_mmseg.runs.steps import run_steps
from semples_mmseg.utils.record import Record


def main() -> None:
    """Run the command, which has no options."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    register_components()
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        costs = forecast(demo_in(folder / 'short', folder), console)
        run_steps(demo_in(folder / 'run', folder), console)
        record = Record(folder / 'run')
    rows = [
        dict(step=cost.name, forecast=cost.seconds, run=record[cost.name].about['seconds'])
        for cost in costs
        if cost.images is not None
    ]
    rows.append(dict(step='all', **{k: sum(r[k] for r in rows) for k in ('forecast', 'run')}))
    print('| step | forecast, s | run, s | ratio |')
    print('|---|---|---|---|')
    for row in rows:
        ratio = row['forecast'] / row['run']
        print(f'| {row["step"]} | {row["forecast"]:.0f} | {row["run"]:.0f} | {ratio:.2f} |')


def demo_in(folder: Path, data: Path) -> Recipe:
    """The demo, with results in a folder and the scenes in ``data``."""
    folder.mkdir()
    return read_recipe('demo', folder, dict(data=data / 'scenes'))


if __name__ == '__main__':
    main()
