"""Options that ``check`` and ``fit`` share."""

import argparse
from pathlib import Path

from ..photos.settings import WEIGHTS
from .arguments import positive


def add_photo_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for photos, tags and training."""
    parser.add_argument('photos', type=Path, metavar='PHOTOS', help='folder, sub-folders included')
    parser.add_argument(
        '--tags',
        type=Path,
        help='tag table: CSV, TSV, JSON, COCO JSON, a folder of VOC XML, cls_labels.npy '
        '(default: every sub-folder is a class)',
    )
    parser.add_argument('--classes', type=Path, help='text file: one class name a line, in order')
    parser.add_argument(
        '--weights',
        choices=WEIGHTS,
        default='pretrained',
        help='what training starts from: DeiT-S and CLIP ViT-B/32, downloaded once; or the small '
        'models of the demo, to try the program offline (default: %(default)s)',
    )
    parser.add_argument('--backbone', type=Path, help='file of DeiT-S, in place of the download')
    parser.add_argument('--clip', type=Path, help='file of CLIP ViT-B/32, in place of the download')
    parser.add_argument('--seed', type=int, default=0, help='seed of training')
    parser.add_argument(
        '--epochs',
        type=positive,
        help='maximum number of epochs of each training (default: by number of photos)',
    )
