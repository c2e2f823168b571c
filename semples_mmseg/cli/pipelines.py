"""What ``tools/run_pipeline.py`` and ``semples-mmseg demo`` share."""

from __future__ import annotations

import argparse
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from .. import environment

if TYPE_CHECKING:
    from rich.console import Console

    from ..runs.steps import Step

Report: TypeAlias = 'Callable[[Console], Any]'
Plan: TypeAlias = 'Callable[[argparse.Namespace, Path], tuple[list[Step], Report]]'


def add_pipeline_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that every pipeline has."""
    parser.add_argument('--work-dir', help='folder of the results (default: work_dirs/NAME)')
    parser.add_argument('--data-root', help='folder of the data')
    parser.add_argument('--seed', type=int, default=0, help='seed of training')
    add_dry_run(parser, 'show the plan and stop')
    parser.add_argument('-v', '--verbose', action='store_true', help='show the output of all steps')
    add_config_options(parser, 'semples', 'segmenter')


def add_dry_run(parser: argparse.ArgumentParser, text: str) -> None:
    """Add ``--dry-run`` with this help text, and ``--measure``."""
    parser.add_argument('--dry-run', action='store_true', help=text)
    parser.add_argument(
        '--measure',
        action='store_true',
        help='run each step on a few images only, and forecast time, memory and disk',
    )


def add_config_options(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add ``--NAME-options`` for some configs."""
    for name in names:
        parser.add_argument(
            f'--{name}-options', nargs='*', default=[], help='settings of its config, key=value'
        )


def run_pipeline(args: argparse.Namespace, name: str, plan: Plan) -> None:
    """Run the steps of a pipeline that are not complete, then report, or show the plan alone.

    Args:
        args: The options of ``add_pipeline_options``.
        name: Name of the pipeline.
        plan: Makes the steps, and the function that reports their results, for a folder.
    """
    from rich.console import Console

    from ..runs.forecast import forecast, show_forecast
    from ..runs.steps import run_steps, show_plan
    from ..utils.io import check_writable
    from ..utils.locks import folder_lock

    console = Console()
    folder = Path(args.work_dir or f'work_dirs/{name}')
    steps, report = plan(args, folder)
    if args.dry_run or args.measure:
        show_plan(steps, folder, console)
        if args.measure:
            with tempfile.TemporaryDirectory(prefix='semples-forecast-') as short:
                show_forecast(forecast(plan(args, Path(short))[0], Path(short), console), console)
        return
    check_writable(folder, '--work-dir')
    with folder_lock(folder):
        run_steps(steps, folder, console, args.verbose)
        report(console)


def plan_demo(args: argparse.Namespace, folder: Path) -> tuple[list[Step], Report]:
    """The steps of the demo, and the function that reports their results."""
    from ..demo.report import report_demo
    from ..demo.steps import demo_steps

    root, data_root = environment.clone_or_installed(), Path(args.data_root or 'data/demo')
    options = (args.semples_options, args.segmenter_options)
    steps = demo_steps(root, folder, data_root, args.seed, *options)
    return steps, functools.partial(report_demo, folder, data_root)
