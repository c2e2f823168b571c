"""``semples-mmseg predict``: masks of new photos, without tags."""

import argparse
from pathlib import Path

from ..arguments import add_max_side, add_overlays

HELP = 'masks of new photos, without tags'


def add_options(parser: argparse.ArgumentParser) -> None:
    """Model, photos and where to write."""
    parser.add_argument(
        'model', metavar='run', type=Path, help='--out of semples-mmseg fit, or an ONNX file'
    )
    parser.add_argument('photos', nargs='+', type=Path, help='photos, and folders of photos')
    parser.add_argument(
        '--out', type=Path, default=Path('masks'), help='folder of the masks (default: masks)'
    )
    add_max_side(parser)
    add_overlays(parser)
    parser.add_argument(
        '--skip-unreadable', action='store_true', help='no error for photos that cannot be read'
    )
    parser.add_argument('--device', help='as PyTorch names it, e.g. cuda:1 (default: a GPU or cpu)')


def run(args: argparse.Namespace) -> int:
    """Write the masks; 2 where photos could not be read."""
    import sys

    from ...photos.predicting import load, model_files, named_photos, predict_photos
    from ...utils.files import file_digest

    photos = named_photos(args.photos, args.out)
    files = model_files(args.model)
    settings = dict(model=file_digest(*files), max_side=args.max_side)
    model = load(args.model, device=args.device, max_side=args.max_side)
    done = predict_photos(model, photos, args.out, settings, args.overlays)
    there = f', {done.there} were there already' if done.there else ''
    print(f'{done.masks} masks written to {args.out}{there}; classes.json names their ids')
    for message in done.unreadable:
        print(f'left out: {message}', file=sys.stderr)
    if done.unreadable and not args.skip_unreadable:
        print(
            f'error: {len(done.unreadable)} of {len(photos)} photos could not be read. Repair them '
            'and run the same command again, or add --skip-unreadable',
            file=sys.stderr,
        )
        return 2
    return 0
