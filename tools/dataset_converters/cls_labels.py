"""Convert cls_labels.npy, the pickled labels of many projects, to a JSON label file.

python tools/dataset_converters/cls_labels.py cls_labels.npy --dataset voc --out image_labels.json

The file is a pickle; only arrays and plain data are read from it, and no code is run.
"""

import argparse
from pathlib import Path

from semples_mmseg import register_components
from semples_mmseg.cli.errors import exit_codes


def build_parser() -> argparse.ArgumentParser:
    """Declare the command line."""
    parser = argparse.ArgumentParser(description='Convert cls_labels.npy to a JSON label file')
    parser.add_argument('file', type=Path, help='cls_labels.npy')
    parser.add_argument('--out', type=Path, required=True, help='JSON file to write')
    classes = parser.add_mutually_exclusive_group(required=True)
    classes.add_argument('--dataset', help="use the classes of 'voc' or of a registered data set")
    classes.add_argument('--classes', nargs='+', help='the class names in the order of the vectors')
    parser.add_argument(
        '--id-format', help="how whole numbers become ids, e.g. 'COCO_train2014_{:012d}'"
    )
    parser.add_argument('--overwrite', action='store_true', help='replace a file of other labels')
    return parser


def main() -> None:
    """Run the command."""
    parser = build_parser()
    args = parser.parse_args()
    register_components()
    from semples_mmseg.prepare.cls_labels import read_cls_labels
    from semples_mmseg.prepare.named import dataset_class
    from semples_mmseg.prepare.outputs import label_lines, write_files

    classes = args.classes or dataset_class(args.dataset).METAINFO['classes'][1:]
    labels = read_cls_labels(args.file, classes, args.id_format)
    written = write_files({args.out: label_lines(labels)}, args.overwrite)
    state = 'written' if written else 'there already'
    print(f'{args.out}: labels of {len(labels)} images, {state}')


if __name__ == '__main__':
    with exit_codes():
        main()
