"""``semples-mmseg fit``: masks and a model from photos and tags."""

import argparse
from pathlib import Path

from ...runs.command import add_dry_run
from ..arguments import add_overlays
from ..photo_options import add_photo_options

HELP = 'make masks of tagged photos, and a model; the same command continues a stopped run'


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_photo_options(parser)
    parser.add_argument('--out', type=Path, required=True, metavar='RUN', help='folder of the run')
    parser.add_argument(
        '--skip-unreadable', action='store_true', help='leave out photos that cannot be read'
    )
    parser.add_argument(
        '--skip-rare', action='store_true', help='leave out classes of fewer than two photos'
    )
    add_overlays(parser)
    add_dry_run(parser, 'show the plan and stop')
    parser.add_argument('-v', '--verbose', action='store_true', help='show the output of all steps')


def run(args: argparse.Namespace) -> int:
    """Run all steps."""
    from ... import register_components

    register_components()
    from ...photos.fit import fit

    fit(
        args.photos,
        args.tags,
        args.out,
        classes=args.classes,
        weights=args.weights,
        backbone=args.backbone,
        clip=args.clip,
        seed=args.seed,
        epochs=args.epochs,
        skip_unreadable=args.skip_unreadable,
        skip_rare=args.skip_rare,
        overlays=args.overlays,
        dry_run=args.dry_run,
        measure=args.measure,
        verbose=args.verbose,
    )
    return 0
