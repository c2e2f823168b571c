"""Run the demo with several pretraining and training seeds and ablations, and write a table.

python projects/demo_world/make_models.py --seed 11 --out demo_models/seed11        # for each seed
python projects/demo_world/run_study.py --models demo_models/* --seeds 21 22 23 \\
    --table docs/results.md
"""

import argparse
from pathlib import Path

from study import VARIANTS, Cell
from study_table import write_table

from semples_mmseg.cli.errors import explained


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Run the demo over several seeds')
    parser.add_argument('--models', nargs='+', required=True, help='folders of pretrained models')
    parser.add_argument('--seeds', nargs='+', type=int, required=True, help='training seeds')
    parser.add_argument(
        '--variants', nargs='*', default=list(VARIANTS), choices=list(VARIANTS), help='ablations'
    )
    parser.add_argument('--out', default='work_dirs/demo_study', help='folder of the results')
    parser.add_argument('--data-root', default='data/demo', help='folder of the demo world')
    parser.add_argument('--table', help='Markdown file to write the table to')
    return parser.parse_args()


def main() -> None:
    """Run the command."""
    args = parse_args()
    root, out = Path(__file__).parents[2], Path(args.out)
    results = {}
    for seed in args.seeds:
        for models in map(Path, args.models):
            name = f'{models.name}_train{seed}'
            cell = Cell(root, out / name, models, Path(args.data_root), seed)
            results[name] = cell.run(args.variants)
            found = {
                key: split['train']['seed_mIoU'] for key, split in results[name]['seeds'].items()
            }
            print(f'{name}: ' + ', '.join(f'{key} {value:.1f}' for key, value in found.items()))
    if args.table:
        write_table(results, Path(args.table))


if __name__ == '__main__':
    with explained():
        main()
