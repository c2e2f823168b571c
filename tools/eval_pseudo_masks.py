"""Measure a folder of label maps, made by any method, against ground truth.

python tools/eval_pseudo_masks.py work_dirs/voc_pseudo_masks \\
    data/VOCdevkit/VOC2012/SegmentationClassAug --classes voc \\
    --ids data/VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt

It reads pixel labels: a diagnostic, not weak supervision.
"""

import argparse

from semples_mmseg import register_components
from semples_mmseg.cli.errors import exit_codes


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='mIoU, FP, FN, precision, recall of a folder')
    parser.add_argument('masks', help='folder of the masks <id>.png')
    parser.add_argument('truth', help='folder of the ground truth <id>.png')
    parser.add_argument(
        '--classes', help='voc, coco, or a text file: one name a line, background first'
    )
    parser.add_argument('--num-classes', type=int, help='number of classes with the background')
    parser.add_argument('--ids', help='list of the ids to evaluate (default: all masks)')
    parser.add_argument('--json', help='file for the scores')
    parser.add_argument(
        '--num-workers', type=int, help='processes; 0: this one alone (default: CPU cores)'
    )
    return parser.parse_args()


def main() -> None:
    """Run the command."""
    args = parse_args()
    register_components()
    from semples_mmseg.masks.scores import class_names, score_folder, scores_table
    from semples_mmseg.utils.console import plain_console
    from semples_mmseg.utils.io import write_json

    names = class_names(args.classes, args.num_classes)
    scores = score_folder(args.masks, args.truth, names, args.ids, args.num_workers)
    plain_console().print(scores_table(scores))
    if args.json:
        write_json(args.json, scores)


if __name__ == '__main__':
    with exit_codes():
        main()
