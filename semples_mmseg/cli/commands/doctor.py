"""``semples-mmseg doctor``: what is installed and whether it fits together."""

import argparse

from ... import environment

HELP = 'what is installed and whether it fits together, for bug reports'


def add_options(parser: argparse.ArgumentParser) -> None:
    """This command has no options."""


def run(args: argparse.Namespace) -> int:
    """Print the report; 1 where the packages do not fit together."""
    print(environment.report())
    problem = environment.find_problem(environment.installed(), environment.importable())
    return int(problem is not None)
