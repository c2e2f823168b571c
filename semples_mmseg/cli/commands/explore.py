"""``semples-mmseg explore``: a local page to try photos, tags and background scores."""

import argparse
from pathlib import Path

HELP = 'a page on this machine: a photo, its tags, its CAMs and its mask'


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('folder', type=Path, metavar='RUN', help='folder of a finished run')
    parser.add_argument('--port', type=int, help='port of 127.0.0.1 (default: a free one)')
    parser.add_argument('--no-browser', action='store_true', help='do not open the browser')


def run(args: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    from ...photos.run import Run

    opened = Run.open(args.folder)
    from ... import register_components

    register_components()
    from ...photos.explorer import Explorer
    from ...photos.web_page import require_gradio, serve

    require_gradio()
    title = f'semples-mmseg: {opened.folder.resolve().name}'
    serve(Explorer(opened), title, args.port, not args.no_browser)
    return 0
