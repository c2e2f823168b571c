"""Run everything from data to the table with one command; what is complete is skipped.

python tools/run_pipeline.py demo
"""

import argparse
from pathlib import Path

from rich.console import Console

from semples_mmseg.engine.launch import check_work_dir
from semples_mmseg.pipeline import demo_steps, run_steps
from semples_mmseg.pipeline.report import report_demo


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Run a whole pipeline')
    parser.add_argument('pipeline', choices=['demo'], help='which one')
    parser.add_argument('--work-dir', default='work_dirs/demo', help='folder of the results')
    parser.add_argument('--data-root', default='data/demo', help='folder of the data')
    parser.add_argument('--seed', type=int, default=0, help='seed of training')
    return parser.parse_args()


def main() -> None:
    """Run the command."""
    args = parse_args()
    check_work_dir(args.work_dir)
    root, folder, data_root = Path(__file__).parents[1], Path(args.work_dir), Path(args.data_root)
    console = Console()
    run_steps(demo_steps(root, folder, data_root, args.seed), folder, console)
    report_demo(root, folder, data_root, console)


if __name__ == '__main__':
    main()
