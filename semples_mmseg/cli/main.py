"""The console script ``semples-mmseg``: photos and tags in, masks and a model out.

A command is a function here: it gets its options by name and returns an exit code, or None for 0;
its docstring is the help text. Each imports what it needs, so that ``--help`` is fast.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from json import dumps
from pathlib import Path
from typing import Any

from .. import environment, register_components
from ..photos.exports import FOLDERS_OF_PHOTOS
from ..photos.settings import AUTO, WEIGHTS
from ..runs.command import add_dry_run, add_run_options
from ..utils.errors import Refusal
from ..utils.names import count
from ..utils.parallel import prepare_children
from ..version import __version__
from .arguments import add_export_options, add_flag, add_map, add_predict_options, positive
from .errors import exit_codes


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command, by default that of ``sys.argv``; ``cli/errors.py`` lists the exit codes."""
    options = vars(build_parser().parse_args(arguments))
    with exit_codes(tool=False):
        code = options.pop('run')(**options)
    raise SystemExit(code or 0)


def check(
    photos: Path,
    tags: Path | None,
    classes: Path | None,
    renames: Sequence[tuple[str, str]],
    json: bool,
    **settings: Any,
) -> int:
    """Check photos and tags, and show what fit will do."""
    register_components()
    from ..photos.checking import check_photos

    return check_photos(photos, tags, classes, renames, json, **settings)


def fit(**options: Any) -> None:
    """Make masks of tagged photos, and a model; the same command continues a stopped run."""
    if not options['dry_run']:
        prepare_children()
    register_components()
    from ..photos import fit as steps

    steps.fit(**options)


def predict(
    model: Path,
    photos: Sequence[Path],
    out: Path,
    max_side: int | None,
    overlays: bool,
    skip_unreadable: bool,
    device: str | None,
    engine: str | None,
    trust: bool,
    json: bool,
) -> None:
    """Write masks of new photos, without tags."""
    from ..photos import predicting
    from ..utils.files import file_digest

    named = predicting.named_photos(photos, out)
    engine = engine or predicting.quick_engine(model, device)
    digest = file_digest(*predicting.model_files(model, trust, engine))
    loaded = predicting.load(model, device=device, max_side=max_side, trust=trust, engine=engine)
    settings = dict(model=digest, engine=loaded.engine, max_side=max_side)
    done = predicting.predict_photos(loaded, named, out, settings, overlays)
    text = f'{count(done.masks, "mask")} written to {out} by {loaded.engine}'
    text += f', {done.there} there already' if done.there else ''
    content = dict(done._asdict(), out=str(out), engine=loaded.engine)
    show(f'{text}; classes.json names their ids', json, content)
    for message in done.unreadable:
        print(f'left out: {message}', file=sys.stderr)
    if done.unreadable and not skip_unreadable:
        raise Refusal(
            f'{len(done.unreadable)} of {count(len(named), "photo")} cannot be read. Repair them '
            'and run the same command again, or add --skip-unreadable'
        )


def export(folder: Path, format: str, out: Path, **options: Any) -> None:
    """Write the masks of a run in the format of a label tool."""
    register_components()
    from ..photos.exports import writing

    labelled = writing.export(folder, format, out, **options)
    print(f'{count(len(labelled.names), "mask")} written to {out} ({format})')
    if format in FOLDERS_OF_PHOTOS and not options['copy_photos']:
        print(f'photos belong to {out / FOLDERS_OF_PHOTOS[format]}: --copy-photos copies them')


def import_(
    folder: Path,
    corrected: Path | None,
    renames: Sequence[tuple[str, str]],
    undo: bool,
    **options: Any,
) -> None:
    """Take masks that were corrected in a label tool into a run: RUN/corrected."""
    register_components()
    from ..photos.imports.writing import import_masks, undo_imports

    if undo == (corrected is not None):
        raise Refusal('give either the file or folder of corrected masks, or --undo')
    if corrected is None:
        print(f'corrected masks removed: {undo_imports(folder)}; the run is as fit left it')
        return
    print(*import_masks(folder, corrected, renames=dict(renames), **options), sep='\n')
    print(f'To train the model on them: semples-mmseg retrain {folder}')


def retrain(folder: Path, **options: Any) -> None:
    """Train the model of a run again, on the corrected masks; the same command continues."""
    prepare_children()
    register_components()
    from ..photos import retrain as steps

    steps.retrain(folder, **options)


def report(folder: Path, photos: Path | None, rows: int, truth: Path | None, json: bool) -> None:
    """Write RUN/report.html: what was done, and the masks to look at first."""
    from ..photos.run import Run

    run = Run.open(folder)
    register_components()
    from ..photos.report_page import write_report

    with environment.quiet_libraries():
        content = write_report(run, rows, truth, photos)
    show('\n'.join([*content['judgement'], f'written: {run.report}']), json, content)


def explore(folder: Path, port: int | None, no_browser: bool) -> None:
    """Open a page on this machine: a photo, its tags, its CAMs and its mask."""
    from ..photos.run import Run

    run = Run.open(folder)
    register_components()
    from ..photos.explorer import Explorer
    from ..photos.web_page import require_gradio, serve

    require_gradio()
    title = f'semples-mmseg: {run.folder.resolve().name}'
    with environment.quiet_libraries():
        explorer = Explorer(run)
    serve(explorer, title, port, not no_browser)


def demo(**options: Any) -> None:
    """Run the whole method on a small drawn world, on a CPU in about two minutes."""
    if not options['dry_run']:
        prepare_children()
    register_components()
    from ..runs.command import run_recipe

    run_recipe(argparse.Namespace(**options), 'demo')


def doctor() -> int:
    """Show what is installed and whether it fits together, for bug reports."""
    text, problem = environment.report()
    print(text)
    return int(problem is not None)


def show(text: str, json: bool, content: Mapping[str, Any]) -> None:
    """Print a text, or JSON in place of it."""
    print(dumps(content, indent=2, ensure_ascii=False) if json else text)


COMMANDS = (check, fit, predict, export, import_, retrain, report, explore, demo, doctor)
"""In the order of ``--help``."""


def build_parser() -> argparse.ArgumentParser:
    """Declare the command line."""
    parser = argparse.ArgumentParser(
        prog='semples-mmseg', description='From photos and tags to masks and a model'
    )
    parser.add_argument('--version', action='version', version=f'%(prog)s {__version__}')
    subparsers = parser.add_subparsers(required=True, metavar='COMMAND')
    of: dict[Callable, argparse.ArgumentParser] = {}
    for run in COMMANDS:
        text = run.__doc__
        name = run.__name__.removesuffix('_')
        of[run] = subparsers.add_parser(name, help=text, description=text)
        of[run].set_defaults(run=run)

    for command in (of[check], of[fit]):
        command.add_argument(
            'photos', type=Path, metavar='PHOTOS', help='folder, sub-folders included'
        )
        command.add_argument(
            '--tags',
            type=Path,
            help='table of tags, or file or folder of a label tool; the form is recognised by the '
            'content (default: every sub-folder is a class)',
        )
        command.add_argument(
            '--classes', type=Path, help='text file: one class name a line, in order'
        )
        add_map(command)
        command.add_argument(
            '--weights',
            choices=(AUTO, *WEIGHTS),
            default=AUTO,
            help='what training starts from: DeiT-S and CLIP ViT-B/32, downloaded once; small ones '
            'that need no download; those of the demo, for its drawn scenes alone (default: '
            'pretrained if they are on this disk, else small)',
        )
        for name, model in (('--backbone', 'DeiT-S'), ('--clip', 'CLIP ViT-B/32')):
            command.add_argument(name, type=Path, help=f'file of {model}, in place of the download')
        command.add_argument('--seed', type=int, default=0, help='seed of training')
        command.add_argument(
            '--epochs',
            type=positive,
            help='maximum number of epochs of each training (default: by number of photos)',
        )
    of[fit].add_argument('--out', type=Path, required=True, metavar='RUN', help='folder of the run')
    add_flag(of[fit], '--skip-unreadable', 'leave out photos that cannot be read')
    add_flag(of[fit], '--skip-rare', 'leave out classes of fewer than two photos')
    add_flag(of[fit], '--skip-missing', 'leave out rows of photos that are not in the folder')
    add_dry_run(of[fit])

    add_predict_options(of[predict])
    for command in (of[fit], of[predict]):
        add_flag(command, '--overlays', 'write the masks over the photos too: OUT/overlays')

    for command in (of[export], of[import_], of[retrain]):
        command.add_argument('folder', metavar='RUN', type=Path, help='--out of semples-mmseg fit')
    add_export_options(of[export])
    of[import_].add_argument(
        'corrected',
        nargs='?',
        type=Path,
        help='a file, folder or .zip of labelme, CVAT (Segmentation mask 1.1, CVAT for images), '
        'Label Studio (JSON), COCO, YOLO, VOC, or PNG files named as those of RUN/masks',
    )
    add_map(of[import_])
    add_flag(of[import_], '--empty', 'pictures without any region are background')
    add_flag(of[import_], '--undo', 'remove all corrected masks, and the model trained on them')
    text = 'show the output of all steps'
    of[retrain].add_argument('-v', '--verbose', action='store_true', help=text)

    for command in (of[report], of[explore]):
        command.add_argument('folder', type=Path, metavar='RUN', help='folder of a finished run')
    of[report].add_argument(
        '--rows', type=positive, default=24, help='number of photos that it shows (default: 24)'
    )
    of[report].add_argument(
        '--truth',
        type=Path,
        metavar='FOLDER',
        help='true masks of some of the photos, with the names and ids of RUN/masks: adds the '
        'quality of the CAMs at every background score',
    )
    for command in (of[export], of[import_], of[retrain], of[report]):
        command.add_argument(
            '--photos', type=Path, metavar='FOLDER', help='folder of the photos, if it was moved'
        )
    for command in (of[check], of[predict], of[report]):
        add_flag(command, '--json', 'print the result as JSON, for programs')
    of[explore].add_argument('--port', type=int, help='port of 127.0.0.1 (default: a free one)')
    add_flag(of[explore], '--no-browser', 'do not open the browser')

    add_run_options(of[demo])
    return parser
