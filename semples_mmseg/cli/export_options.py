"""Options of the commands that write masks for label tools. Importing this module is fast."""

import argparse
from pathlib import Path

from ..photos.exports import FOLDERS_OF_PHOTOS, FORMATS, URL


def add_export_options(parser: argparse.ArgumentParser) -> None:
    """Add the format, its settings and where to write."""
    listed = ', '.join(f'{name} ({kind})' for name, kind in FORMATS.items())
    parser.add_argument('--format', required=True, choices=list(FORMATS), help=listed)
    parser.add_argument('--out', type=Path, required=True, help='file or folder to write')
    parser.add_argument(
        '--split', action='store_true', help='COCO: one annotation for each connected piece'
    )
    parser.add_argument(
        '--url',
        default=URL,
        help='Label Studio: prefix of the path of a photo (default: %(default)s)',
    )
    parser.add_argument(
        '--copy-photos',
        action='store_true',
        help=f'{" and ".join(FOLDERS_OF_PHOTOS)}: copy the photos beside the masks',
    )
