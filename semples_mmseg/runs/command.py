"""What ``tools/run_pipeline.py`` and ``semples-mmseg demo`` share: options, and the run itself."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from typing import Any


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that every run of a recipe has."""
    parser.add_argument('--work-dir', help='folder of the results (default: work_dirs/NAME)')
    parser.add_argument('--data-root', help='folder of the data')
    parser.add_argument('--seed', type=int, default=0, help='seed of training')
    add_dry_run(parser)
    add_config_options(parser, 'semples', 'segmenter')


def add_dry_run(parser: argparse.ArgumentParser) -> None:
    """Add ``--dry-run``, ``--measure`` and ``--verbose``."""
    parser.add_argument('--dry-run', action='store_true', help='show the plan and stop')
    parser.add_argument(
        '--measure',
        action='store_true',
        help='run each step on a few images only, and forecast time, memory and disk',
    )
    parser.add_argument('-v', '--verbose', action='store_true', help='show the output of all steps')


def add_config_options(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add ``--NAME-options`` for some configs."""
    for name in names:
        parser.add_argument(
            f'--{name}-options', nargs='*', default=[], help='settings of its config, key=value'
        )


def run_recipe(
    args: argparse.Namespace, name: str, values: Mapping[str, Any] | None = None, gpus: int = 1
) -> None:
    """Run the steps of a recipe that are not complete, then report, or show the plan alone.

    ``values`` are those that the options of ``add_run_options`` do not give; ``gpus`` is the number
    of processes of the steps that have a config.
    """
    from ..utils.console import plain_console
    from ..utils.io import check_writable, folder_lock
    from .forecast import forecast, show_forecast
    from .recipe import read_recipe
    from .results import report_results
    from .steps import run_steps, show_plan

    console = plain_console()
    places = dict(data=args.data_root) if args.data_root else {}
    names = ('seed', 'semples_options', 'segmenter_options')
    given = {name: getattr(args, name) for name in names} | dict(values or {})
    recipe = read_recipe(name, args.work_dir or f'work_dirs/{name}', places, given, gpus)
    if args.dry_run or args.measure:
        show_plan(recipe, console)
        if args.measure:
            with tempfile.TemporaryDirectory(prefix='semples-forecast-') as short:
                few = read_recipe(name, short, places, given, gpus)
                show_forecast(forecast(few, console), console)
        return
    check_writable(recipe.folder, '--work-dir')
    with folder_lock(recipe.folder):
        run_steps(recipe, console, args.verbose)
        report_results(recipe, console)
