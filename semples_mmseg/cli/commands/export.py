"""``semples-mmseg export``: the masks of a run for a label tool."""

import argparse
from pathlib import Path

from ..export_options import add_export_options

HELP = 'write the masks of a run in the format of a label tool'


def add_options(parser: argparse.ArgumentParser) -> None:
    """Run, format and where to write."""
    parser.add_argument('folder', metavar='run', type=Path, help='--out of semples-mmseg fit')
    add_export_options(parser)
    parser.add_argument('--photos', type=Path, help='folder of the photos, if it was moved')


def run(args: argparse.Namespace) -> int:
    """Write the masks."""
    from ... import register_components

    register_components()
    from ...photos.exports.writing import export

    labelled = export(
        args.folder,
        args.format,
        args.out,
        photos=args.photos,
        split=args.split,
        url=args.url,
        copy_photos=args.copy_photos,
    )
    print(f'{len(labelled.names)} masks written to {args.out} ({args.format})')
    return 0
