"""Put the figures of runs into a table of the paper, ours beside the paper's.

python tools/analysis/compare.py --table 5 work_dirs/voc_refine work_dirs/voc_lambda_*
python tools/analysis/compare.py --table 1 ours=work_dirs/voc12 --format latex
"""

import argparse
from pathlib import Path

from semples_mmseg import register_components
from semples_mmseg.cli.errors import explained

TABLES = ('1', '2', '3', '4', '5', '6')
FORMATS = ('markdown', 'csv', 'latex')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Compare runs in a table of the paper')
    parser.add_argument(
        'runs',
        nargs='+',
        metavar='RUN',
        help='folder of tools/train.py or tools/run_pipeline.py, or NAME=FOLDER',
    )
    parser.add_argument('--table', required=True, choices=TABLES, help='table of the paper')
    parser.add_argument('--format', choices=FORMATS, default='markdown')
    parser.add_argument('--out', type=Path, help='write the table to this file as well')
    return parser.parse_args()


def main() -> None:
    """Run the command."""
    args = parse_args()
    register_components()
    from semples_mmseg.runs.compare import compare, read_run
    from semples_mmseg.utils import atomic_write

    text = compare([read_run(run) for run in args.runs], args.table).format(args.format)
    if args.out:
        with atomic_write(args.out) as file:
            file.write(text + '\n')
    print(text)


if __name__ == '__main__':
    with explained():
        main()
