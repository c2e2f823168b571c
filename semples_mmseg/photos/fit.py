"""From photos and tags to masks and a model: ``semples-mmseg fit``."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import tempfile
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from ..runs.forecast import forecast, show_forecast
from ..runs.recipe import Recipe as Steps
from ..runs.recipe import read_recipe
from ..runs.steps import run_steps
from ..utils.classes import people_name, prompt_name
from ..utils.errors import AlreadyThere, Missing, Refusal
from ..utils.io import check_writable
from ..utils.label_png import class_colours, mask_path
from ..utils.lists import image_ids
from ..utils.locks import folder_lock
from ..utils.parallel import parallel_map, usable_cores
from ..utils.progress import progress
from ..utils.record import Record
from ..version import __version__
from ..weights.clip_hub import find_tag
from ..weights.timm_hub import TIMM, timm_file
from .confidence import write_confidence
from .configs import DEIT, write_configs
from .inspection import Inspection, describe_sizes, inspect_photos, photo_paths, record_sizes
from .model_out import FILES, write_model
from .overlays import overlay_files, overlay_path
from .recipe import Recipe, choose_recipe, shorten
from .run import Run
from .tags import TaggedPhotos, suffixes_of, write_dataset

_MEGABYTES = {'pretrained': 3000, 'demo': 60}
"""Megabytes of checkpoints and logs, without masks and predictions."""


def label(
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
        FileNotFoundError: If there are no photos, table or weights.
        FileExistsError: If the folder holds another run, or other files.
        ValueError: If photos or tags are wrong; the message names file and row. Also if ``out`` is
            inside the folder of photos.
        RuntimeError: If a step fails.
    """
    console = Console(soft_wrap=True)
    run = Run(Path(out))
    photos, tags = Path(photos), None if tags is None else Path(tags)
    if run.folder.resolve().is_relative_to(photos.resolve()):
        raise Refusal(
            f'{out} is inside the folder of photos, so its masks would be used as photos: '
            'choose another folder with --out'
        )
    record = run.data / 'sizes.json'
    found = inspect_photos(photos, tags, classes, record=record)
    usable = found.usable(skip_unreadable, skip_rare)
    recipe = recipe_for(found, usable, weights, backbone, clip, seed, epochs)
    show_inspection(found, console)
    if dry_run or measure:
        show_recipe(recipe, len(usable.tags), console)
        if measure:
            check_weights(recipe)
            _forecast(usable, tags, recipe, console)
        return run
    check_weights(recipe)
    check_writable(run.folder)
    recipe = begin(run, usable, tags, recipe)
    record_sizes(found, record)
    show_recipe(recipe, len(usable.tags), console)
    fit_run(run, recipe, console, verbose, overlays)
    return run


def recipe_for(
    found: Inspection,
    usable: TaggedPhotos,
    weights: str = 'pretrained',
    backbone: Path | None = None,
    clip: Path | None = None,
    seed: int = 0,
    epochs: int | None = None,
) -> Recipe:
    """Choose a recipe for this machine; for the arguments see ``label``."""
    recipe = choose_recipe(
        len(usable.tags),
        found.mean_pixels,
        weights=weights,
        backbone=None if backbone is None else str(backbone.resolve()),
        clip=None if clip is None else str(clip.resolve()),
        crf=importlib.util.find_spec('pydensecrf') is not None,
        one_size=len(set(found.sizes.values())) == 1,
        gpu=torch.cuda.is_available(),
        cores=usable_cores(),
        seed=seed,
    )
    return recipe if epochs is None else shorten(recipe, epochs)


def check_weights(recipe: Recipe) -> None:
    """Check that the weights exist, or download them, before long work.

    Raises:
        FileNotFoundError: If a file is missing, or there is no connection; the message tells what
            to put where.
        ValueError: If files are given for the shipped models.
    """
    files = {'--backbone': recipe.backbone, '--clip': recipe.clip}
    if recipe.weights == 'demo':
        if given := [option for option, file in files.items() if file]:
            raise Refusal(f'{given[0]} has no effect with --weights demo: leave one of them out')
        return
    for option, file in files.items():
        if file and not Path(file).is_file():
            raise Missing(f'{option}: there is no file {file}')
    missing = []
    if not recipe.backbone:
        try:
            timm_file(DEIT.removeprefix(TIMM))
        except FileNotFoundError as error:
            missing.append(f'{error}, and give it with --backbone FILE')
    if not recipe.clip:
        try:
            find_tag('ViT-B-32', 'openai')
        except FileNotFoundError as error:
            missing.append(f'{error}, or give it with --clip FILE')
    if missing:
        raise Missing('; '.join(missing) + '. To try the program without them: --weights demo')


def show_inspection(found: Inspection, console: Console) -> None:
    """Print the content of photos and table, and their problems."""
    tagged = found.tagged
    console.print(
        f'{tagged.root}: {len(tagged.tags)} tagged photos ({tagged.form}), '
        f'{describe_sizes(list(found.sizes.values()))}, {found.negatives} of no class',
        markup=False,
    )
    table = Table('class', 'in the prompt', 'photos')
    for name, count in found.counts.items():
        table.add_row(people_name(name), f'a photo of {prompt_name(name)}.', str(count))
    console.print(table)
    for finding in found.findings():
        console.print(f'- {finding}', markup=False)


def show_recipe(recipe: Recipe, photos: int, console: Console) -> None:
    """Print the settings of ``fit`` for this number of photos."""
    table = Table('', 'chosen', title='Recipe')
    for name, text in recipe.rows(photos):
        table.add_row(name, text)
    console.print(table)


def begin(run: Run, tagged: TaggedPhotos, tags: Path | None, recipe: Recipe) -> Recipe:
    """Write the lists, labels and configs of a run; those of an existing run are kept.

    Args:
        run: Its folder may be new, empty, or hold a run of these photos and tags.
        tagged: Photos and tags to train on.
        tags: Tag table.
        recipe: Settings of the trainings.

    Returns:
        The recipe of the run; for an existing run, its own.

    Raises:
        FileExistsError: If the folder holds other files or another run.
        OSError: If the disk has too little room.
    """
    record = dict(
        photos=str(tagged.root.resolve()),
        tags=None if tags is None else str(tags.resolve()),
        form=tagged.form,
        classes=list(tagged.classes),
        weights=recipe.weights,
        seed=recipe.seed,
    )
    if run.exists:
        there = run.read()
        for key, value in record.items():
            if there[key] != value:
                raise AlreadyThere(
                    f'{run.folder} holds another run: its {key} are {there[key]}, now {value}. '
                    'Choose another folder with --out'
                )
        write_dataset(tagged, run.data)  # refuses other photos or labels
        return Recipe.from_json(there['recipe'])
    if run.folder.exists() and any(run.folder.iterdir()):
        raise AlreadyThere(
            f'{run.folder} holds files that are no run: choose a new folder with --out'
        )
    _check_room(run.folder, recipe, len(tagged.tags))
    ids = image_ids(tagged.tags)
    write_dataset(tagged, run.data)
    write_configs(run, tagged.root, tagged.classes, suffixes_of(ids), recipe)
    Record(run.folder).begin('run', {}, {})
    run.write(dict(record, version=__version__, recipe=recipe.to_json()))
    return recipe


def fit_run(
    run: Run, recipe: Recipe, console: Console, verbose: bool = False, overlays: bool = False
) -> None:
    """Train, make masks, train the Segmenter and write the model; steps that are complete are
    skipped.

    Args:
        run: A run that was begun.
        recipe: Its recipe.
        console: Where progress is shown.
        verbose: Whether the output of all steps is shown too.
        overlays: Whether the masks are written over the photos too.

    Raises:
        RuntimeError: If a step fails; what is complete stays complete.
    """
    start = time.monotonic()
    with folder_lock(run.folder):
        run_steps(_recipe(run, recipe), console, verbose, 'choose another --out')
        write_confidence(run)
        model = _write_model(run, recipe, console)
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


def _forecast(usable: TaggedPhotos, tags: Path | None, recipe: Recipe, console: Console) -> None:
    with tempfile.TemporaryDirectory(prefix='semples-forecast-') as folder:
        short = Run(Path(folder) / 'run')
        begin(short, usable, tags, recipe)
        show_forecast(forecast(_recipe(short, recipe), console), console)


def _recipe(run: Run, recipe: Recipe) -> Steps:
    photos = len(run.labels())
    trained = sum(work.steps(photos) * work.batch for work in recipe.stages.values())
    retrained = recipe.segmenter.steps(photos) * recipe.segmenter.batch
    # Unit of the lengths: the time of one photo in the training of the stages, as measured on the
    # demo world.
    values = dict(
        amp=['--amp'] if recipe.amp else [],
        segmenter=_segmenter_weights(run, recipe).name,
        stages_length=trained,
        masks_length=8 * photos,
        segmenter_length=2 * retrained,
        predictions_length=4 * photos,
    )
    return read_recipe('photos', run.folder, values=values)


def _write_model(run: Run, recipe: Recipe, console: Console) -> list[Path]:
    """Write the files of the finished model, unless they are newer than its weights."""
    files = [run.model / name for name in FILES]
    weights = _segmenter_weights(run, recipe)
    if all(file.is_file() and file.stat().st_mtime > weights.stat().st_mtime for file in files):
        return files
    with (
        console.status('writing the model'),
        open(run.logs / 'model.log', 'w', encoding='utf-8') as log,
        contextlib.redirect_stdout(log),
    ):
        return write_model(run)


def _write_overlays(run: Run) -> None:
    """Write the pseudo masks over their photos, unless they are newer than their masks."""
    palette = class_colours(len(run.class_names()) + 1)
    jobs = []
    for name, photo in photo_paths(run, list(run.labels())).items():
        path, mask = overlay_path(run.overlays, name), mask_path(run.masks, name)
        if not path.is_file() or path.stat().st_mtime <= mask.stat().st_mtime:
            jobs.append((path, photo, mask, palette))
    for _ in progress(parallel_map(overlay_files, jobs), 'overlays', len(jobs)):
        pass


def _segmenter_weights(run: Run, recipe: Recipe) -> Path:
    return run.segmenter / f'epoch_{recipe.segmenter.epochs}.pth'


def _check_room(folder: Path, recipe: Recipe, photos: int) -> None:
    there = folder.resolve()
    while not there.exists():
        there = there.parent
    needed = _MEGABYTES[recipe.weights] + photos * 0.1
    free = shutil.disk_usage(there).free / 2**20
    if free < needed:
        raise OSError(
            f'{there} has {free:.0f} MB free, a run takes about {needed:.0f}: make room, or choose '
            'another disk with --out'
        )
