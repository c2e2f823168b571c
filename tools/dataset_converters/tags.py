"""Make a data set of a folder of photos and a table of their tags.

python tools/dataset_converters/tags.py photos --tags tags.csv --out data/mine
python tools/dataset_converters/tags.py photos --out data/mine   # a sub-folder for every class

The forms that are read are in docs/data.md. The photos stay where they are.
"""

import argparse
from pathlib import Path

from semples_mmseg import register_components
from semples_mmseg.cli.arguments import add_flag, add_map
from semples_mmseg.cli.errors import exit_codes
from semples_mmseg.utils.errors import AlreadyThere, Refusal


def build_parser() -> argparse.ArgumentParser:
    """Declare the command line."""
    parser = argparse.ArgumentParser(description='Make a data set of photos and tags')
    parser.add_argument('photos', type=Path, help='folder of the photos, sub-folders included')
    parser.add_argument(
        '--tags', type=Path, help='tag table (default: every sub-folder is a class)'
    )
    parser.add_argument('--out', type=Path, required=True, help='folder of the lists and labels')
    parser.add_argument('--classes', type=Path, help='text file: one class name a line, in order')
    add_map(parser)
    add_flag(parser, '--skip-missing', 'leave out rows of photos that are not in the folder')
    parser.add_argument('--overwrite', action='store_true', help='replace lists and labels')
    return parser


def main() -> None:
    """Run the command."""
    args = build_parser().parse_args()
    register_components()
    from semples_mmseg.photos.tags import labels_of, read_tagged, write_dataset
    from semples_mmseg.utils.record import Record

    tagged = read_tagged(args.photos, args.tags, args.classes, args.renames)
    if tagged.missing and not args.skip_missing:
        raise Refusal(tagged.missing)
    record = Record(args.out, 'choose another --out, or replace it (--overwrite)')
    if 'tags' not in record and (args.out / 'list.txt').exists() and not args.overwrite:
        raise AlreadyThere(f'{args.out} holds a list.txt already: {record.way}')
    settings = dict(classes=tagged.classes, labels=labels_of(tagged))
    if record.begin('tags', settings, {}, anew=args.overwrite) != 'complete':
        record.finish('tags', write_dataset(tagged, args.out))
    photos = len(tagged.tags) + len(tagged.untagged)
    negatives = sum(not tags for tags in tagged.tags.values())
    for note in tagged.notes:
        print(f'note: {note}')
    print(f'{tagged.form}: {len(tagged.tags)} of {photos} photos, {negatives} of no class')
    for name in tagged.classes:
        number = sum(name in tags for tags in tagged.tags.values())
        few = '  (too few to learn from)' if number < 2 else ''
        print(f'{number:6} {name}{few}')
    if tagged.untagged:
        print(
            f'{len(tagged.untagged)} photos are not tagged and are left out, such as '
            f'{tagged.untagged[0]}'
        )
    print(f'written: {args.out}/list.txt, labels.json, classes.txt')


if __name__ == '__main__':
    with exit_codes():
        main()
