"""The dataset check: lists, labels, every image and every mask of a weakly labelled data set.

python tools/analysis/check_dataset.py --config configs/semples/voc_refine.py
python tools/analysis/check_dataset.py --dataset voc --root data/VOCdevkit/VOC2012 \
    --list ImageSets/Segmentation/train_aug.txt --labels image_labels.json \
    --masks SegmentationClassAug
python tools/analysis/check_dataset.py --classes cat dog --root mine --labels labels.json

The exit code is 0 if all is well, 1 if something is wrong, 2 if the check could not start.
"""

import argparse
from pathlib import Path

from semples_mmseg import register_components
from semples_mmseg.cli.errors import exit_codes


def build_parser() -> argparse.ArgumentParser:
    """Declare the command line."""
    parser = argparse.ArgumentParser(description='Check the files of a data set')
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument('--config', help='check the data sets of this config')
    what.add_argument('--dataset', help="'voc', 'demo' or a registered data set, in --root")
    what.add_argument('--classes', nargs='+', help='object classes of a data set of your own')
    parser.add_argument('--root', help='root of the paths below')
    parser.add_argument('--images', default='JPEGImages', help='folder of the images')
    parser.add_argument('--list', default='', help='split list (default: all images)')
    parser.add_argument('--labels', help='JSON file of the labels (VOC: default XML annotations)')
    parser.add_argument('--masks', help='folder of masks to check too')
    parser.add_argument('--image-suffix', nargs='+', help='suffixes of the images, e.g. .png')
    parser.add_argument('--json', type=Path, help='file to write all findings to')
    parser.add_argument('--workers', type=int, help='processes (default: all processors)')
    return parser


def main() -> None:
    """Run the command."""
    parser = build_parser()
    args = parser.parse_args()
    register_components()
    from semples_mmseg.prepare.check import check_dataset
    from semples_mmseg.prepare.named import dataset_of_folders, datasets_of_config
    from semples_mmseg.utils.configs import read_config
    from semples_mmseg.utils.console import plain_console
    from semples_mmseg.utils.io import write_json

    if args.config:
        datasets = datasets_of_config(read_config(args.config))
    else:
        dataset = dataset_of_folders(
            args.images,
            args.dataset,
            args.classes,
            args.root,
            args.list,
            args.labels,
            args.masks,
            args.image_suffix,
        )
        datasets = {args.list or args.images: dataset}
    reports = [check_dataset(dataset, k, args.workers) for k, dataset in datasets.items()]
    if args.json:
        write_json(args.json, [report.to_json() for report in reports])
    console = plain_console()
    for report in reports:
        report.show(console)
    parser.exit(0 if all(report.clean for report in reports) else 1)


if __name__ == '__main__':
    with exit_codes():
        main()
