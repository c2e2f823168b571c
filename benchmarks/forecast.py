"""The forecast of ``--measure`` for the demo beside what the demo then takes.

python -m benchmarks.forecast [--json forecast.json]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from rich.console import Console

from semples_mmseg import register_components
from semples_mmseg.demo.steps import demo_steps
from semples_mmseg.runs.forecast import forecast
from semples_mmseg.runs.steps import RECORD, Record, Step, run_steps

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--json', type=Path, help='file for the figures')
    args = parser.parse_args()
    register_components()
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / 'short').mkdir()
        costs = forecast(steps_in(folder / 'short', folder), folder / 'short', console)
        run_steps(steps_in(folder / 'run', folder), folder / 'run', console)
        record = Record(folder / 'run' / RECORD)
    rows = [
        dict(step=cost.name, forecast=cost.seconds, run=record.steps[cost.name]['seconds'])
        for cost in costs
    ]
    rows.append(dict(step='all', **{k: sum(r[k] for r in rows) for k in ('forecast', 'run')}))
    print('| step | forecast, s | run, s | ratio |')
    print('|---|---|---|---|')
    for row in rows:
        ratio = row['forecast'] / row['run']
        print(f'| {row["step"]} | {row["forecast"]:.0f} | {row["run"]:.0f} | {ratio:.2f} |')
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2))


def steps_in(folder: Path, data: Path) -> list[Step]:
    """The steps of the demo, with results in a folder and the scenes in ``data``."""
    return demo_steps(ROOT, folder, data / 'scenes', 0)


if __name__ == '__main__':
    main()
