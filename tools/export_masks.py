"""Write masks in the format of a label tool, to view and correct them there.

python tools/export_masks.py work_dirs/voc_pseudo_masks data/VOCdevkit/VOC2012/JPEGImages \\
    --format coco --out masks.json

Class names come from the classes.json of the folder, or from --classes.
"""

import argparse
from pathlib import Path

from semples_mmseg import register_components
from semples_mmseg.cli.arguments import add_export_options
from semples_mmseg.cli.errors import exit_codes


def build_parser() -> argparse.ArgumentParser:
    """Declare the command line."""
    parser = argparse.ArgumentParser(description='Write masks in the format of a label tool')
    parser.add_argument('masks', type=Path, help='folder of the masks <image id>.png')
    parser.add_argument('photos', type=Path, help='folder of the photos')
    add_export_options(parser)
    parser.add_argument(
        '--classes', type=Path, help='text file: one class name a line, background first'
    )
    return parser


def main() -> None:
    """Run the command."""
    args = build_parser().parse_args()
    register_components()
    from semples_mmseg.photos.exports.labelled import labelled_folder
    from semples_mmseg.photos.exports.writing import write_masks
    from semples_mmseg.utils.files import read_lines

    classes = read_lines(args.classes, '--classes') if args.classes else None
    labelled = labelled_folder(args.masks, args.photos, classes)
    write_masks(labelled, args.format, args.out, args.split, args.url, args.copy_photos)
    print(f'{len(labelled.names)} masks written to {args.out} ({args.format})')


if __name__ == '__main__':
    with exit_codes():
        main()
