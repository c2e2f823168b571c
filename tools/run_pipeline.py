"""Run everything from the data to the table of results; steps that are complete are skipped.

python tools/run_pipeline.py demo
python tools/run_pipeline.py voc12 --sbd benchmark_RELEASE --gpus 4
python tools/run_pipeline.py coco14 --data-root data/coco --dry-run
"""

from __future__ import annotations

import argparse
import functools
from pathlib import Path
from typing import TYPE_CHECKING

from semples_mmseg import register_components
from semples_mmseg.cli.errors import explained
from semples_mmseg.cli.pipelines import (
    Report,
    add_config_options,
    add_pipeline_options,
    plan_demo,
    run_pipeline,
)
from semples_mmseg.runs.benchmarks import BENCHMARKS

if TYPE_CHECKING:
    from semples_mmseg.runs.published import Settings
    from semples_mmseg.runs.steps import Step

ROOT = Path(__file__).parents[1]


def parse_args() -> argparse.Namespace:
    """Read the command line; each pipeline has a command with options of its own."""
    common = argparse.ArgumentParser(add_help=False)
    add_pipeline_options(common)

    published = argparse.ArgumentParser(add_help=False, parents=[common])
    published.add_argument('--gpus', type=int, default=1, help='processes, one per GPU')
    published.add_argument('--subset', action='store_true', help='accept a part of the data set')
    published.add_argument('--no-crf', action='store_true', help='no CRF on masks and predictions')
    add_config_options(published, 'weaktr')

    parser = argparse.ArgumentParser(description='Run a whole pipeline')
    pipelines = parser.add_subparsers(dest='pipeline', required=True, metavar='PIPELINE')
    pipelines.add_parser('demo', parents=[common], help='a small drawn world, on a CPU')
    for name, benchmark in BENCHMARKS.items():
        command = pipelines.add_parser(name, parents=[published], help=benchmark.title)
        if name == 'voc12':
            command.add_argument('--sbd', help='folder benchmark_RELEASE of the SBD release')
    return parser.parse_args()


def main() -> None:
    """Run the command."""
    args = parse_args()
    register_components()
    run_pipeline(args, args.pipeline, plan_demo if args.pipeline == 'demo' else plan_published)


def plan_published(args: argparse.Namespace, folder: Path) -> tuple[list[Step], Report]:
    """The steps of a data set of the paper, and the function that reports their results."""
    from semples_mmseg.runs.published import published_steps
    from semples_mmseg.runs.published_report import report_published

    benchmark = BENCHMARKS[args.pipeline]
    data_root = Path(args.data_root or benchmark.data_root)
    steps = published_steps(benchmark, ROOT, folder, data_root, read_settings(args))
    return steps, functools.partial(report_published, benchmark, folder)


def read_settings(args: argparse.Namespace) -> Settings:
    """Settings of a published pipeline from the command line."""
    from semples_mmseg.runs.published import Settings

    convert = ['--subset'] if args.subset else []
    if getattr(args, 'sbd', None):
        convert += ['--sbd', args.sbd]
    semples = list(args.semples_options)
    if args.no_crf:
        semples.append('pseudo_mask_evaluator.refine=None')
    return Settings(
        gpus=args.gpus,
        seed=args.seed,
        convert=tuple(convert),
        weaktr=tuple(args.weaktr_options),
        semples=tuple(semples),
        segmenter=tuple(args.segmenter_options),
        test=('--tta',) if args.no_crf else ('--tta', '--crf'),
    )


if __name__ == '__main__':
    with explained():
        main()
