"""The console script ``semples-mmseg``: photos and tags in, masks and a model out.

Every command is a module of ``commands`` with ``HELP``, ``add_options(parser)`` and
``run(args)``. They import what they need in ``run``, so that ``--help`` is fast.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence

from ..version import __version__
from .errors import exit_codes

COMMANDS = ('check', 'fit', 'predict', 'export', 'report', 'explore', 'demo', 'doctor')
"""In the order of ``--help``."""


def build_parser() -> argparse.ArgumentParser:
    """Declare the command line."""
    parser = argparse.ArgumentParser(
        prog='semples-mmseg', description='From photos and tags to masks and a model'
    )
    parser.add_argument('--version', action='version', version=f'%(prog)s {__version__}')
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    for name in COMMANDS:
        module = importlib.import_module(f'.commands.{name}', __package__)
        command = commands.add_parser(name, help=module.HELP, description=module.HELP)
        module.add_options(command)
        command.set_defaults(run=module.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; ``cli/errors.py`` lists the exit codes.

    Args:
        arguments: Command line arguments; by default ``sys.argv``.
    """
    args = build_parser().parse_args(arguments)
    with exit_codes():
        code = args.run(args)
    raise SystemExit(code)
