"""``semples-mmseg report``: a page about a run, with the masks to look at first."""

import argparse
from pathlib import Path

HELP = 'write RUN/report.html: what was done, and the masks to look at first'


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('folder', type=Path, metavar='RUN', help='folder of a finished run')
    parser.add_argument('--photos', type=int, default=24, help='rows of pictures')
    parser.add_argument(
        '--truth',
        type=Path,
        metavar='FOLDER',
        help='true masks of some of the photos, with the names and ids of RUN/masks: adds the '
        'quality of the CAMs at every background score',
    )


def run(args: argparse.Namespace) -> int:
    """Write the page."""
    from ...photos.run import Run

    opened = Run.open(args.folder)
    from ... import register_components

    register_components()
    from ...photos.report_page import write_report

    print(f'written: {write_report(opened, args.photos, args.truth)}')
    return 0
