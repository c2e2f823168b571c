"""``semples-mmseg demo``: the whole method on the demo world."""

import argparse

from ..pipelines import add_pipeline_options, plan_demo, run_pipeline

HELP = 'the whole method on a small drawn world, on a CPU in some two and a half minutes'


def add_options(parser: argparse.ArgumentParser) -> None:
    """Folders, seed and settings."""
    add_pipeline_options(parser)


def run(args: argparse.Namespace) -> int:
    """Run the steps that are not complete, and print the results."""
    from ... import register_components

    register_components()
    run_pipeline(args, 'demo', plan_demo)
    return 0
