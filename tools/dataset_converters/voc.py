"""Prepare PASCAL VOC 2012: train_aug list, masks for evaluation, image-level labels.

python tools/dataset_converters/voc.py data/VOCdevkit/VOC2012 --sbd benchmark_RELEASE
python tools/dataset_converters/voc.py data/VOCdevkit/VOC2012 --masks SegmentationClassAug

Without either, the masks are expected in SegmentationClassAug inside VOC2012. Running it again
continues a stopped run and leaves finished files alone.
"""

import argparse
from pathlib import Path

from semples_mmseg import register_components
from semples_mmseg.cli.errors import exit_codes


def build_parser() -> argparse.ArgumentParser:
    """Declare the command line."""
    parser = argparse.ArgumentParser(description='Prepare PASCAL VOC 2012')
    parser.add_argument('root', type=Path, help='folder VOCdevkit/VOC2012')
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        '--masks', type=Path, help='folder of augmented masks (default: root/SegmentationClassAug)'
    )
    source.add_argument('--sbd', type=Path, help='folder benchmark_RELEASE of the SBD release')
    parser.add_argument(
        '--label-file', default='image_labels.json', help='JSON file of the labels, inside root'
    )
    parser.add_argument('--subset', action='store_true', help='accept a part of the images')
    parser.add_argument(
        '--overwrite', action='store_true', help='replace lists and labels of other content'
    )
    parser.add_argument('--workers', type=int, help='processes (default: all processors)')
    return parser


def main() -> None:
    """Run the command."""
    parser = build_parser()
    args = parser.parse_args()
    register_components()
    from semples_mmseg.prepare.voc12 import prepare_voc
    from semples_mmseg.utils.console import plain_console
    from semples_mmseg.utils.lists import name_some

    done = prepare_voc(**vars(args))
    console = plain_console(soft_wrap=True)
    console.print(', '.join(f'{split} {count}' for split, count in done.counts.items()))
    console.print(f'masks written: {done.masks_made}')
    console.print(f'labels from annotations: {done.from_xml}, from masks: {len(done.from_masks)}')
    if done.from_xml and done.from_masks:
        console.print(f'without annotation: {name_some(done.from_masks)}')
    for path in done.written:
        console.print(f'written: {path}')


if __name__ == '__main__':
    with exit_codes():
        main()
