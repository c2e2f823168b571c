"""Run everything from the data to the table of results; steps that are complete are skipped.

python tools/run_pipeline.py demo
python tools/run_pipeline.py voc12 --sbd benchmark_RELEASE --gpus 4
python tools/run_pipeline.py coco14 --data-root data/coco --dry-run

What each of them does is a recipe, configs/runs/NAME.py.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from semples_mmseg import register_components
from semples_mmseg.cli.errors import exit_codes
from semples_mmseg.runs.command import add_config_options, add_run_options, run_recipe
from semples_mmseg.utils.errors import Missing

PUBLISHED = dict(voc12='PASCAL VOC 2012', coco14='MS COCO 2014')


def parse_args() -> argparse.Namespace:
    """Read the command line; each recipe has a command with options of its own."""
    common = argparse.ArgumentParser(add_help=False)
    add_run_options(common)

    published = argparse.ArgumentParser(add_help=False, parents=[common])
    published.add_argument('--gpus', type=int, default=1, help='processes, one per GPU')
    published.add_argument('--subset', action='store_true', help='accept a part of the data set')
    published.add_argument('--no-crf', action='store_true', help='no CRF on masks and predictions')
    add_config_options(published, 'weaktr')

    parser = argparse.ArgumentParser(description='Run a whole pipeline')
    recipes = parser.add_subparsers(dest='recipe', required=True, metavar='PIPELINE')
    recipes.add_parser('demo', parents=[common], help='a small drawn world, on a CPU')
    for name, title in PUBLISHED.items():
        command = recipes.add_parser(name, parents=[published], help=title)
        if name == 'voc12':
            command.add_argument('--sbd', help='folder benchmark_RELEASE of the SBD release')
    return parser.parse_args()


def main() -> None:
    """Run the command."""
    args = parse_args()
    register_components()
    if args.recipe == 'demo':
        run_recipe(args, 'demo')
    else:
        run_recipe(args, args.recipe, published_values(args), args.gpus)


def published_values(args: argparse.Namespace) -> dict[str, Any]:
    """Values of the recipe of a published run.

    Raises:
        Missing: If the folder of ``--sbd`` is missing.
    """
    convert = ['--subset'] if args.subset else []
    if sbd := getattr(args, 'sbd', None):
        if not Path(sbd).is_dir():
            raise Missing(f'--sbd {sbd} is no folder: give benchmark_RELEASE of the SBD release')
        convert += ['--sbd', str(Path(sbd).resolve())]
    if not args.no_crf:
        return dict(convert=convert, weaktr_options=args.weaktr_options)
    return dict(
        convert=convert,
        weaktr_options=args.weaktr_options,
        semples_options=[*args.semples_options, 'pseudo_mask_evaluator.refine=None'],
        tests=['--tta'],
    )


if __name__ == '__main__':
    with exit_codes():
        main()
