"""Options of several tools. Importing this module is fast."""

import argparse
from pathlib import Path

from ..photos.exports import FOLDERS_OF_PHOTOS, FORMATS, URL


def positive(text: str) -> int:
    """Read a positive number from the command line."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f'expected a positive number, got {text!r}')
    return int(text)


def key_value(text: str) -> str:
    """Check one setting of ``--cfg-options``."""
    if '=' not in text:
        raise argparse.ArgumentTypeError(f'{text!r} is not of the form key=value')
    return text


def old_new(text: str) -> tuple[str, str]:
    """Read one name of ``--map``, and the name in its place."""
    old, equals, new = text.partition('=')
    if not equals or not old.strip():
        raise argparse.ArgumentTypeError(f'{text!r} is not of the form OLD=NEW')
    return old.strip(), new.strip()


def add_map(parser: argparse.ArgumentParser) -> None:
    """Add the option that renames classes: ``renames``, pairs of old and new name."""
    parser.add_argument(
        '--map',
        action='append',
        type=old_new,
        dest='renames',
        default=[],
        metavar='OLD=NEW',
        help='read the class OLD as NEW, or leave it out (OLD=); may be repeated',
    )


def add_flag(parser: argparse.ArgumentParser, name: str, text: str) -> None:
    """Add an option without a value, with this help text."""
    parser.add_argument(name, action='store_true', help=text)


def add_max_side(parser: argparse.ArgumentParser) -> None:
    """Add the option that bounds the cost of large photos."""
    parser.add_argument(
        '--max-side',
        type=positive,
        metavar='PIXELS',
        help='compute larger photos at this long side; results have their own size '
        '(default: that of the config)',
    )


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that all of MMSeg's tools have."""
    parser.add_argument('--work-dir', help='folder of logs and results')
    parser.add_argument(
        '--data-root', help='folder of the data set, like the environment variable DATA_ROOT'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action='extend',
        type=key_value,
        default=[],
        metavar='KEY=VALUE',
        help='changes of the config, e.g. stages.0.epochs=1; new keys: +KEY=VALUE',
    )
    launchers = ['none', 'pytorch', 'slurm', 'mpi']
    parser.add_argument('--launcher', choices=launchers, default='none', help='job launcher')
    add_flag(
        parser,
        '--trust-checkpoint',
        'let a checkpoint run code while it is loaded; only for files from people you trust',
    )
    # The distributed launcher passes this one.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def add_predict_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``semples-mmseg predict``."""
    parser.add_argument(
        'model',
        metavar='run',
        type=Path,
        help='--out of semples-mmseg fit, its folder model, or an ONNX file. An ONNX file and a '
        'folder with model.json are data: nothing in them is run',
    )
    parser.add_argument('photos', nargs='+', type=Path, help='photos, and folders of photos')
    parser.add_argument(
        '--out', type=Path, default=Path('masks'), help='folder of the masks (default: masks)'
    )
    add_max_side(parser)
    add_flag(parser, '--skip-unreadable', 'no error for photos that cannot be read')
    parser.add_argument('--device', help='as PyTorch names it, e.g. cuda:1 (default: a GPU or cpu)')
    parser.add_argument(
        '--engine',
        choices=('torch', 'onnx'),
        help='default: onnxruntime, which starts faster, for a run with an ONNX file of its '
        'weights, unless there is a GPU or --device; else PyTorch',
    )
    add_flag(
        parser,
        '--trust',
        'run the Python program segmenter.py of a folder without model.json, which can do anything '
        'on this machine: only for folders of people you trust. model.json is made from it',
    )


def add_export_options(parser: argparse.ArgumentParser) -> None:
    """Add the format for a label tool, its settings and where to write."""
    listed = ', '.join(f'{name} ({kind})' for name, kind in FORMATS.items())
    parser.add_argument('--format', required=True, choices=list(FORMATS), help=listed)
    parser.add_argument('--out', type=Path, required=True, help='file or folder to write')
    add_flag(parser, '--split', 'COCO: one annotation for each connected piece')
    parser.add_argument(
        '--url',
        default=URL,
        help='Label Studio: prefix of the path of a photo (default: %(default)s)',
    )
    formats = ' and '.join(FOLDERS_OF_PHOTOS)
    add_flag(parser, '--copy-photos', f'{formats}: copy the photos beside the masks')
