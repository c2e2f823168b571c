"""Run everything from data to the table with one command; what is complete is skipped.

python tools/run_pipeline.py demo
python tools/run_pipeline.py voc12 --sbd benchmark_RELEASE --gpus 4
python tools/run_pipeline.py coco14 --data-root data/coco --dry-run
"""

import argparse
from pathlib import Path

from rich.console import Console

from semples_mmseg.cli.errors import explained
from semples_mmseg.cli.launch import check_work_dir
from semples_mmseg.demo.report import report_demo
from semples_mmseg.demo.steps import demo_steps
from semples_mmseg.pipeline import BENCHMARKS, Settings, published_steps, run_steps, show_plan
from semples_mmseg.pipeline.published_report import report_published


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Run a whole pipeline')
    parser.add_argument('pipeline', choices=['demo', *BENCHMARKS], help='which one')
    parser.add_argument('--work-dir', help='folder of the results (default: work_dirs/NAME)')
    parser.add_argument('--data-root', help='folder of the data')
    parser.add_argument('--seed', type=int, default=0, help='seed of training')
    parser.add_argument('--dry-run', action='store_true', help='show the plan and stop')
    for name in ('semples', 'segmenter'):
        parser.add_argument(
            f'--{name}-options', nargs='*', default=[], help='settings of its config, key=value'
        )
    published = parser.add_argument_group('voc12 and coco14')
    published.add_argument('--gpus', type=int, default=1, help='processes, one a GPU')
    published.add_argument('--sbd', help='VOC: folder benchmark_RELEASE of the SBD release')
    published.add_argument('--subset', action='store_true', help='accept a part of the data set')
    published.add_argument('--no-crf', action='store_true', help='neither pseudo masks nor tests')
    published.add_argument(
        '--weaktr-options', nargs='*', default=[], help='settings of its config, key=value'
    )
    return parser.parse_args()


def main() -> None:
    """Run the command."""
    args = parse_args()
    root, console = Path(__file__).parents[1], Console()
    folder = Path(args.work_dir or f'work_dirs/{args.pipeline}')
    if args.pipeline == 'demo':
        data_root = Path(args.data_root or 'data/demo')
        options = (args.semples_options, args.segmenter_options)
        steps = demo_steps(root, folder, data_root, args.seed, *options)
    else:
        benchmark = BENCHMARKS[args.pipeline]
        data_root = Path(args.data_root or benchmark.data_root)
        steps = published_steps(benchmark, root, folder, data_root, read_settings(args))
    if args.dry_run:
        show_plan(steps, folder, console)
        return
    check_work_dir(str(folder))
    run_steps(steps, folder, console)
    if args.pipeline == 'demo':
        report_demo(root, folder, data_root, console)
    else:
        report_published(benchmark, folder, console)


def read_settings(args: argparse.Namespace) -> Settings:
    """What the command line changes of a published pipeline."""
    convert = ['--sbd', args.sbd] if args.sbd else []
    semples = list(args.semples_options)
    if args.no_crf:
        semples.append('pseudo_mask_evaluator.refine=None')
    return Settings(
        gpus=args.gpus,
        seed=args.seed,
        convert=(*convert, *(['--subset'] if args.subset else [])),
        weaktr=tuple(args.weaktr_options),
        semples=tuple(semples),
        segmenter=tuple(args.segmenter_options),
        test=('--tta',) if args.no_crf else ('--tta', '--crf'),
    )


if __name__ == '__main__':
    with explained():
        main()
