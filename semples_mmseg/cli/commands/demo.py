"""``semples-mmseg demo``: the whole method on the demo world."""

import argparse

from ...runs.command import add_run_options, run_recipe

HELP = 'the whole method on a small drawn world, on a CPU in some two and a half minutes'


def add_options(parser: argparse.ArgumentParser) -> None:
    """Folders, seed and settings."""
    add_run_options(parser)


def run(args: argparse.Namespace) -> int:
    """Run the steps that are not complete, and print the results."""
    from ... import register_components

    register_components()
    run_recipe(args, 'demo')
    return 0
