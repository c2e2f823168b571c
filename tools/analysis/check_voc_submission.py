"""Check an archive (or its folder) before it is sent to PASCAL VOC's evaluation server.

python tools/analysis/check_voc_submission.py work_dirs/voc_test/comp6_test_cls.tar.gz

Names, palette mode, size and value range of all PNGs; the exit code is 1 if anything is wrong.
"""

import argparse
import sys

from semples_mmseg import register_components
from semples_mmseg.cli.errors import explained

VOC = 'data/VOCdevkit/VOC2012'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description='Check a VOC submission')
    parser.add_argument('submission', help='archive, or folder that holds results/VOC2012')
    parser.add_argument(
        '--list',
        default=f'{VOC}/ImageSets/Segmentation/test.txt',
        help='list of the test images (default: %(default)s)',
    )
    parser.add_argument(
        '--images', default=f'{VOC}/JPEGImages', help='folder of the images (default: %(default)s)'
    )
    return parser.parse_args()


def main() -> None:
    """Run the command."""
    args = parse_args()
    register_components()
    from semples_mmseg.masks import check_submission

    report = check_submission(args.submission, args.list, args.images)
    print(report)
    sys.exit(1 if report.problems else 0)


if __name__ == '__main__':
    with explained():
        main()
