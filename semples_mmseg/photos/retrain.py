"""``semples-mmseg retrain``: the Segmenter again, trained with the masks corrected by hand.

``run/retrained`` is like a run: ``data``, ``masks`` (the corrected ones and the rest of
``run/masks``), ``configs/segmenter.py``, ``segmenter``, ``predictions``, ``model``, and
``changes.csv``. Nothing else opens corrected masks for training.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
from rich.console import Console

from ..masks.scores import compare_masks, segmentation_scores
from ..runs.recipe import read_recipe
from ..runs.steps import run_steps
from ..utils.console import plain_console
from ..utils.errors import Missing, Refusal
from ..utils.io import atomic_write, folder_lock
from ..utils.label_png import mask_path, read_mask, write_classes
from ..utils.names import count
from ..utils.parallel import progress
from .confidence import cell
from .configs import write_config
from .imports.writing import discard
from .model_out import exporting, log_model
from .run import CORRECTED, Run

FEWEST = 10
"""Of fewer corrected masks none is held out: a single photo says nothing about a model."""
_BEGUN, _COMPARED = 'retraining', 'comparison'


def retrain(run: str | Path, *, photos: str | Path | None = None, verbose: bool = False) -> Run:
    """Train the Segmenter of a run anew; corrected masks take the place of pseudo masks.

    The settings are those of the run. Of ten corrected masks or more, every fifth is held out: its
    photo is not trained on, and measures the models before and after. The same call continues a
    stopped training, and begins anew if the corrected masks have changed.

    Args:
        run: Folder that was ``--out`` of ``semples-mmseg fit``.
        photos: Folder of the photos, if it was moved.
        verbose: Show the output of all steps.

    Returns:
        ``run/retrained``.

    Raises:
        Missing: If the run is not finished, has no corrected masks, or a photo is missing.
        Refusal: If a corrected mask was changed in its folder, or an import was stopped.
        RunError: If a step fails.
    """
    console, before = plain_console(soft_wrap=True), Run.open(Path(run))
    root = Path(photos or before.entry().about['photos'])
    before.photo_paths(folder=root)
    with folder_lock(before.folder):
        record = before.record(f'take all back: semples-mmseg import {run} --undo')
        if not (corrected := before.made_by_hand()):
            raise Missing(f'{run} has no corrected masks: semples-mmseg import {run} CORRECTED')
        if record.state(CORRECTED, {}, {}) != 'complete':
            raise Refusal('an import of masks was stopped: run semples-mmseg import again')
        if 'predictions' not in record or record['predictions'].outputs is None:
            raise Missing(f'{run} is not finished: run semples-mmseg fit as you began it')
        held_out = [*corrected][4::5] if len(corrected) >= FEWEST else []
        after = _begin(before, corrected, held_out, root, console)
        places = dict(photos=root, fit=before.folder)
        values = dict(amp=['--amp'] if before.fit_settings().amp else [])
        recipe = read_recipe('photos_corrected', after.folder, places, values)
        with exporting(after) as export:
            run_steps(recipe, console, verbose, f'delete {after.folder}')
            log_model(after, console, export, len(corrected) - len(held_out))
        _compare(before, after, corrected, held_out)
    rows = [*summary(before), ('model', f'{after.model}, which predict {run} takes from now on')]
    for name, text in rows:
        console.print(f'{name}: {text}')
    return after


def summary(run: Run) -> list[tuple[str, str]]:
    """What masks made by hand have changed, as pairs of name and text, for a table."""
    found = [('masks made by hand', f'{len(run.made_by_hand())} of {len(run.labels())}')]
    record = Run(run.retrained).record()
    if _COMPARED in record and record[_COMPARED].outputs is not None:
        about = record[_COMPARED].about
        text = f'not compared: too few corrected masks to hold any out, {FEWEST} are enough'
        if held_out := about['held_out']:
            before, after = about['mIoU']
            text = f'{before:.1f} % before, {after:.1f} % after, on {len(held_out)} photos held out'
        most = ', '.join(f'{name} {share:.1%}' for name, share in about['most_changed'])
        text_of_all = f'{count(about["changed"], "photo")}, most: {most} (all: changes.csv)'
        found += [('mIoU of the model', text), ('changed predictions', text_of_all)]
    return found


def _begin(
    before: Run, corrected: Collection[str], held_out: list[str], photos: Path, console: Console
) -> Run:
    """Write data and config of ``run/retrained``, anew where masks have changed."""
    after, trained = Run(before.retrained), [i for i in before.labels() if i not in held_out]
    asked = dict(made_by_hand=[*corrected], held_out=held_out)
    inputs = dict(masks=before.masks, corrected=before.corrected)
    try:
        state = after.record().state(_BEGUN, asked, inputs)
    except Refusal:
        console.print('the masks have changed since the last retraining: it begins anew')
        discard(after.folder)
        state = 'new'
    place, images = '{{fileDirname}}/..', dict(img_path=str(photos.resolve()))
    data = dict(
        ann_file=f'{place}/data/list.txt',
        data_prefix=dict(images, seg_map_path=f'{place}/masks'),
    )
    batch = min(before.fit_settings().segmenter.batch, len(trained))
    content = dict(
        train_dataloader=dict(batch_size=batch, dataset=data),
        test_dataloader=dict(dataset=dict(data_prefix=images)),
    )
    write_config(after.segmenter_config, '../../configs/segmenter.py', content)
    if state != 'complete':
        record = after.record()
        record.begin(_BEGUN, asked, inputs)
        with atomic_write(after.data / 'list.txt') as file:
            file.writelines(f'{name}\n' for name in trained)
        for name in trained:
            source = before.corrected if name in corrected else before.masks
            (target := mask_path(after.masks, name)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(mask_path(source, name), target)
        write_classes(after.masks, ['background', *before.class_names()])
        record.finish(_BEGUN, [after.data, after.masks])
    return after


def _compare(
    before: Run, after: Run, corrected: Mapping[str, float], held_out: Collection[str]
) -> None:
    """Write ``changes.csv``, and record how good both models are on the photos held out."""
    record, file, number = after.record(), after.folder / 'changes.csv', len(before.class_names())
    folders = before.predictions, after.predictions
    inputs = dict(zip(('before', 'after'), folders, strict=True))
    if record.begin(_COMPARED, {}, inputs) == 'complete':
        return
    shares, counts = dict[str, float](), np.zeros((2, number + 1, number + 2), np.int64)
    for name in progress(before.labels(), 'changes'):
        old, new = (read_mask(mask_path(folder, name)) for folder in folders)
        shares[name] = float((old != new).mean())
        if name in held_out:
            truth = before.corrected
            counts += [compare_masks(one, truth, number + 1, name) for one in folders]
    ordered = sorted(shares, key=lambda name: -shares[name])
    with atomic_write(file) as text:
        writer = csv.writer(text)
        writer.writerow(['photo', 'changed_prediction', 'changed_by_hand', 'held_out'])
        for name in ordered:
            row = f'{shares[name]:.4f}', corrected.get(name, ''), int(name in held_out)
            writer.writerow([cell(name), *row])
    miou = segmentation_scores(counts)['mIoU'].round(2).tolist()
    record.finish(
        _COMPARED,
        [file],
        held_out=[*held_out],
        mIoU=miou if held_out else None,
        changed=sum(share > 0 for share in shares.values()),
        most_changed=[(name, shares[name]) for name in ordered[:5]],
    )
