"""From photos and tags to masks and a model: ``semples-mmseg fit``."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from ..runs.forecast import forecast, show_forecast
from ..runs.recipe import Recipe, read_recipe
from ..runs.steps import run_steps
from ..utils.errors import AlreadyThere, Missing, Refusal
from ..utils.io import check_writable
from ..utils.label_png import class_colours, mask_path
from ..utils.locks import folder_lock
from ..utils.parallel import parallel_map, usable_cores
from ..utils.progress import progress
from ..version import __version__
from ..weights.hub import TIMM, find_tag, timm_file
from .confidence import write_confidence
from .configs import DEIT, write_configs
from .inspection import Inspection, inspect_photos, show_inspection
from .model_out import write_model
from .overlays import overlay_files, overlay_path
from .run import ENTRY, PHOTOS, Run
from .settings import FitSettings, choose_settings
from .tags import TaggedPhotos, labels_of, write_dataset

_HINTS = (
    'time: fewer epochs (--epochs), fewer photos',
    'memory: smaller photos; end other programs',
    'disk: fewer photos, another disk (--out)',
)
_MEGABYTES = {'pretrained': 3000, 'demo': 60}
"""Megabytes of checkpoints and logs, without masks and predictions."""


def fit(
    photos: str | Path,
    tags: str | Path | None = None,
    out: str | Path = 'run',
    *,
    classes: Path | None = None,
    weights: str = 'pretrained',
    backbone: Path | None = None,
    clip: Path | None = None,
    seed: int = 0,
    epochs: int | None = None,
    skip_unreadable: bool = False,
    skip_rare: bool = False,
    overlays: bool = False,
    dry_run: bool = False,
    measure: bool = False,
    verbose: bool = False,
) -> Run:
    """Make masks of tagged photos, and a model. The same call continues a stopped run.

    Args:
        photos: Folder of the photos, sub-folders included.
        tags: Tag table of any form, see ``photos.tag_tables``; None for a folder per class.
        out: Folder of the run; see ``photos.run`` for what it holds afterwards.
        classes: Text file of the class names, one a line, if their order matters.
        weights: What training starts from: ``'pretrained'`` (DeiT-S and CLIP ViT-B/32, downloaded
            once) or ``'demo'`` (small models that are shipped).
        backbone: File of DeiT-S, in place of the download.
        clip: File of CLIP ViT-B/32, in place of the download.
        seed: Seed of training.
        epochs: Maximum number of epochs of each training; by default by the number of photos.
        skip_unreadable: Leave out photos that cannot be read.
        skip_rare: Leave out classes of fewer than two photos.
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
    console = Console(soft_wrap=True)
    run = Run(Path(out))
    photos, tags = Path(photos), None if tags is None else Path(tags)
    if run.folder.resolve().is_relative_to(photos.resolve()):
        raise Refusal(
            f'{out} is inside the folder of photos, so its masks would be used as photos: '
            'choose another folder with --out'
        )
    found = inspect_photos(photos, tags, classes, run.known_sizes(photos))
    usable = found.usable(skip_unreadable, skip_rare)
    settings = settings_for(found, usable, weights, backbone, clip, seed, epochs)
    show_inspection(found, console)
    if dry_run or measure:
        show_settings(settings, usable, console)
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
        settings = begin(run, found, usable, settings, epochs)
        show_settings(settings, usable, console)
        _finish(run, settings, console, verbose, overlays)
    return run


def label(*args: Any, **kwargs: Any) -> Run:
    """The name of ``fit`` in version 0.3.0."""
    warnings.warn('semples_mmseg.label is now semples_mmseg.fit', FutureWarning, stacklevel=2)
    return fit(*args, **kwargs)


def settings_for(
    found: Inspection,
    usable: TaggedPhotos,
    weights: str = 'pretrained',
    backbone: Path | None = None,
    clip: Path | None = None,
    seed: int = 0,
    epochs: int | None = None,
) -> FitSettings:
    """Choose the settings for this machine; for the arguments see ``fit``."""
    settings = choose_settings(
        len(usable.tags),
        found.mean_pixels,
        weights=weights,
        backbone=None if backbone is None else str(Path(backbone).resolve()),
        clip=None if clip is None else str(Path(clip).resolve()),
        crf=importlib.util.find_spec('pydensecrf') is not None,
        one_size=len(set(found.sizes.values())) == 1,
        gpu=torch.cuda.is_available(),
        cores=usable_cores(),
        seed=seed,
    )
    return settings if epochs is None else settings.at_most(epochs)


def check_weights(settings: FitSettings) -> None:
    """Check that the weights exist, or download them, before long work.

    Raises:
        Missing: If a file is missing, or there is no connection; the message tells what to put
            where.
        Refusal: If files are given for the shipped models.
    """
    files = {'--backbone': settings.backbone, '--clip': settings.clip}
    given = {option: Path(file) for option, file in files.items() if file}
    if settings.weights == 'demo':
        if given:
            raise Refusal(
                f'{next(iter(given))} has no effect with --weights demo: leave one of them out'
            )
        return
    for option, path in given.items():
        if not path.is_file():
            raise Missing(f'{option}: there is no file {path}')
    missing = []
    for option, find, arguments in (
        ('--backbone', timm_file, (DEIT.removeprefix(TIMM),)),
        ('--clip', find_tag, ('ViT-B-32', 'openai')),
    ):
        try:
            if option not in given:
                find(*arguments)
        except FileNotFoundError as error:
            missing.append(f'{error}, or give it with {option} FILE')
    if missing:
        raise Missing('; '.join(missing) + '. To try the program without them: --weights demo')


def show_settings(settings: FitSettings, usable: TaggedPhotos, console: Console) -> None:
    """Print the settings of ``fit`` for these photos."""
    table = Table('', 'chosen', title='Settings')
    for row in settings.rows(len(usable.tags)):
        table.add_row(*row)
    console.print(table)


def begin(
    run: Run,
    found: Inspection,
    tagged: TaggedPhotos,
    settings: FitSettings,
    epochs: int | None = None,
) -> FitSettings:
    """Record what a run is made from, and write its lists, labels and configs.

    Args:
        run: Its folder may be new, empty, or hold a run of these photos and tags.
        found: All photos.
        tagged: Photos and tags to train on.
        settings: Settings of the trainings.
        epochs: As the user has given them.

    Returns:
        The settings of the run; for an existing run, those that it was begun with.

    Raises:
        AlreadyThere: If the folder holds other files.
        Refusal: If the run was made from something else, or the disk has too little room.
    """
    record, root = run.record(), tagged.root.resolve()
    asked = dict(
        weights=settings.weights,
        seed=settings.seed,
        epochs=epochs,
        classes=list(tagged.classes),
        labels=labels_of(tagged),
    )
    inputs = {f'{PHOTOS}{name}': root / name for name in tagged.tags}
    files = dict(backbone=settings.backbone, clip=settings.clip)
    inputs |= {name: Path(file) for name, file in files.items() if file}
    if ENTRY in record:
        there = run.fit_settings()
        settings = replace(there, backbone=settings.backbone, clip=settings.clip)
    elif run.folder.is_dir() and any(path.name[0] != '.' for path in run.folder.iterdir()):
        raise AlreadyThere(
            f'{run.folder} holds files that are no run: choose a new folder with --out'
        )
    else:
        _check_room(run.folder, settings, len(tagged.tags))
    about: dict[str, Any] = dict(
        version=__version__,
        photos=str(root),
        form=tagged.form,
        fit=settings.to_json(),
        sizes={name: found.sizes[name] for name in tagged.tags},
    )
    complete = record.state(ENTRY, asked, inputs) == 'complete'
    places = ('photos', 'fit')
    moved = complete and any(record[ENTRY].about[key] != about[key] for key in places)
    if not complete or moved:
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
    run_steps(_recipe(run, settings), console, verbose, 'choose another --out')
    write_confidence(run)
    with (
        console.status('writing the model'),
        open(run.logs / 'model.log', 'w', encoding='utf-8') as log,
        contextlib.redirect_stdout(log),
    ):
        model = write_model(run)
    if overlays:
        _write_overlays(run)
    minutes = (time.monotonic() - start) / 60
    table = Table(title=f'Finished after {minutes:.1f} minutes', show_header=False)
    table.add_row('masks', f'{run.masks} (ids and colours: classes.json)')
    if overlays:
        table.add_row('over photos', str(run.overlays))
    table.add_row('doubtful ones', f'{run.confidence}, least confident first')
    table.add_row('model', f'{run.model}: {", ".join(file.name for file in model)}')
    table.add_row('configs', f'{run.semples_config.parent}, for tools/train.py')
    console.print(table)


def _recipe(run: Run, settings: FitSettings) -> Recipe:
    """The steps of a run, with this machine's settings."""
    photos = len(run.labels())
    trained = sum(length.steps(photos) * length.batch for length in settings.stages.values())
    retrained = settings.segmenter.steps(photos) * settings.segmenter.batch
    # Unit of the lengths: the time of one photo in the training of the stages, as measured on the
    # demo world.
    values = dict(
        amp=['--amp'] if settings.amp else [],
        stages_length=trained,
        masks_length=8 * photos,
        segmenter_length=2 * retrained,
        predictions_length=4 * photos,
    )
    places = dict(photos=run.entry().about['photos'])
    return read_recipe('photos', run.folder, places, values)


def _write_overlays(run: Run) -> None:
    """Write the pseudo masks over their photos."""
    palette = class_colours(len(run.class_names()) + 1)
    jobs = [
        (overlay_path(run.overlays, name), photo, mask_path(run.masks, name), palette)
        for name, photo in run.photo_paths().items()
    ]
    for _ in progress(parallel_map(overlay_files, jobs), 'overlays', len(jobs)):
        pass


def _check_room(folder: Path, settings: FitSettings, photos: int) -> None:
    there = folder.resolve()
    while not there.exists():
        there = there.parent
    needed = _MEGABYTES[settings.weights] + photos * 0.1
    free = shutil.disk_usage(there).free / 2**20
    if free < needed:
        raise Refusal(
            f'{there} has {free:.0f} MB free, a run takes about {needed:.0f}: make room, or choose '
            'another disk with --out'
        )
