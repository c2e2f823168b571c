"""Run the demo with several pretraining and training seeds, and write the tables.

python projects/demo_world/make_models.py --seed 11 --out demo_models/p11      # for each seed
python projects/demo_world/run_study.py --models demo_models/* --seeds 21 22 23 \\
    --table projects/demo_world/RESULTS.md
"""

import argparse
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch
from study import TRAININGS, Cell
from study_table import write_table

from semples_mmseg import register_components
from semples_mmseg.cli.errors import exit_codes
from semples_mmseg.demo.world.sets import make_demo_set


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Run the demo over several seeds')
    parser.add_argument('--models', nargs='+', required=True, help='folders of pretrained models')
    parser.add_argument('--seeds', nargs='+', type=int, required=True, help='training seeds')
    parser.add_argument(
        '--trainings', nargs='+', default=list(TRAININGS), choices=list(TRAININGS), help='which'
    )
    parser.add_argument('--jobs', type=int, default=2, help='cells at a time, one thread each')
    parser.add_argument('--out', default='work_dirs/demo_study', help='folder of the results')
    parser.add_argument('--data-root', default='data/demo', help='folder of the demo world')
    parser.add_argument('--table', help='Markdown file to write the tables to')
    return parser.parse_args()


def run_cell(cell: Cell, trainings: list[str]) -> dict[str, Any]:
    """Run a cell in a process of its own, with one thread for the same figures on any machine."""
    torch.set_num_threads(1)
    register_components()
    return cell.run(trainings)


def main() -> None:
    """Run the command."""
    args = parse_args()
    root, out = Path(__file__).parents[2], Path(args.out)
    make_demo_set(args.data_root)
    cells = {
        f'{models.name}_train{seed}': (models, seed)
        for seed in args.seeds
        for models in map(Path, args.models)
    }
    context = multiprocessing.get_context('spawn')
    results = {}
    with ProcessPoolExecutor(args.jobs, mp_context=context) as pool:
        jobs = {
            pool.submit(
                run_cell,
                Cell(root, out / name, models, Path(args.data_root), seed),
                args.trainings,
            ): name
            for name, (models, seed) in cells.items()
        }
        for job in as_completed(jobs):
            results[jobs[job]] = job.result()
            print(f'{jobs[job]} is complete')
    if args.table:
        write_table(results, Path(args.table))


if __name__ == '__main__':
    with exit_codes():
        main()
