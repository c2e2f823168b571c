"""Options that all tools have. Importing this module is fast."""

import argparse


def add_max_side(parser: argparse.ArgumentParser) -> None:
    """Add the option that bounds the cost of large photos."""
    parser.add_argument(
        '--max-side',
        type=positive,
        metavar='PIXELS',
        help='compute larger photos at this long side; results have their own size '
        '(default: that of the config)',
    )


def add_overlays(parser: argparse.ArgumentParser) -> None:
    """Add the option that also writes masks over their photos."""
    parser.add_argument(
        '--overlays', action='store_true', help='write the masks over the photos too: OUT/overlays'
    )


def positive(text: str) -> int:
    """Read a positive number from the command line."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f'expected a positive number, got {text!r}')
    return int(text)


def key_value(text: str) -> str:
    """Check one setting of ``--cfg-options``.

    Raises:
        argparse.ArgumentTypeError: If there is no ``=``.
    """
    if '=' not in text:
        raise argparse.ArgumentTypeError(f'{text!r} is not of the form key=value')
    return text


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
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='job launcher',
    )
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='let a checkpoint run code while it is loaded; only for files from people you trust',
    )
    # The distributed launcher passes this one.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
