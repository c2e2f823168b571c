"""Prepare COCO 2014: split lists, image-level labels of the 80 classes, masks for evaluation.

python tools/dataset_converters/coco14.py data/coco14

The folder holds train2014/, val2014/ and annotations/instances_{train,val}2014.json as downloaded.
"""

import argparse

from semples_mmseg import register_components
from semples_mmseg.cli.errors import exit_codes

SPLITS = ['train', 'val']


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Prepare COCO 2014')
    parser.add_argument('root', help='folder with train2014 and val2014')
    parser.add_argument('--annotations', help='folder of instances_*.json (ROOT/annotations)')
    parser.add_argument('--out', help='folder of the results (ROOT)')
    parser.add_argument('--splits', nargs='+', choices=SPLITS, default=SPLITS)
    parser.add_argument(
        '--masks',
        nargs='*',
        choices=SPLITS,
        default=['val'],
        help='splits to make masks for: val to evaluate, train only to measure seeds',
    )
    parser.add_argument(
        '--subset',
        action='store_true',
        help='accept a part of COCO: use the images that exist, do not check their number',
    )
    parser.add_argument('--workers', type=int, help='processes (as many as processors)')
    return parser.parse_args()


def main() -> None:
    """Run the command."""
    args = parse_args()
    register_components()
    from semples_mmseg.prepare.coco import prepare_coco14

    prepare_coco14(
        args.root,
        args.splits,
        args.masks,
        annotations=args.annotations,
        out=args.out,
        subset=args.subset,
        workers=args.workers,
    )


if __name__ == '__main__':
    with exit_codes():
        main()
