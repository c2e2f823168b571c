"""``semples-mmseg check``: check photos and tags, and show what ``fit`` will do."""

import argparse

from ..photo_options import add_photo_options

HELP = 'check photos and tags, and show what fit will do'


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_photo_options(parser)


def run(args: argparse.Namespace) -> int:
    """Print the findings; 1 if something is wrong or doubtful."""
    from ... import register_components

    register_components()
    from rich.console import Console

    from ...photos.fit import settings_for, show_settings
    from ...photos.inspection import inspect_photos, show_inspection

    console = Console(soft_wrap=True)
    found = inspect_photos(args.photos, args.tags, args.classes)
    show_inspection(found, console)
    usable = found.usable(skip_unreadable=True, skip_rare=True)
    settings = settings_for(
        found, usable, args.weights, args.backbone, args.clip, args.seed, args.epochs
    )
    show_settings(settings, usable, console)
    findings = found.findings()
    console.print(f'findings: {len(findings)}' if findings else 'all is well')
    return int(bool(findings))
