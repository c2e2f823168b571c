"""Pseudo masks of a data set from a config and a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from copy import deepcopy
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, load_checkpoint
from mmseg.registry import DATASETS, MODELS, TASK_UTILS
from torch.utils.data import SequentialSampler

from ..engine.processes import process_group
from ..models.mask_generators.protocol import find_checkpoint
from ..utils.errors import Refusal
from ..utils.io import check_writable, folder_lock, remove_leftovers
from ..utils.label_png import check_num_classes, class_colours, mask_path, write_classes
from ..utils.lists import name_some
from ..utils.record import Record
from ..weights import with_scheme
from . import named_refinement
from .background_score import choose_background_score

AUTO = 'auto'
IMAGES_TO_CHOOSE_BY = 300
ENTRY = 'masks'
"""Name of the masks in the record of their folder."""
_PHOTO = 'photos/'  # before the id of a photo among the inputs in the record

Result = TypeVar('Result')


def make_pseudo_masks(
    config: Config,
    checkpoint: str,
    out_dir: str,
    background_score: float | str | None = None,
    refine: str | None = None,
    dataloader_key: str = 'pseudo_mask_dataloader',
    overwrite: bool = False,
) -> dict[str, Any]:
    """Predict CAMs of the training images and write their pseudo masks.

    The images come from the dataloader under ``dataloader_key``, which needs image-level labels
    but no masks; the refinement and the writer's other options from ``pseudo_mask_evaluator``, if
    the config has one. With a launcher, every process predicts its share of the images.

    The record of the folder has what the masks were made from, as the entry ``masks``; other
    settings are refused, but photos may be added, and finished masks are not made again.
    ``classes.json`` has name and colour of each id.

    Args:
        config: Config of the model that predicts CAMs. It is not changed.
        checkpoint: Its weights; ``'none'`` for a mask generator that nothing trains.
        out_dir: Folder of the masks.
        background_score: Score t of the background, 0..1, in place of the config's. With
            ``'auto'``, or where the config has none, CLIP chooses by 300 images
            (``choose_background_score``); masks that are continued keep their score.
        refine: See ``named_refinement``, in place of ``pseudo_mask_evaluator.refine``.
        dataloader_key: Name of the dataloader in the config.
        overwrite: Delete the folder's masks and start anew.

    Returns:
        What ``PseudoMaskWriter`` returns for the images predicted in this run.

    Raises:
        Refusal: If config, options, model or files do not fit, the folder holds other masks, or
            another run is writing to it.
    """
    config = deepcopy(config)
    weights = find_checkpoint(checkpoint, config.model)
    if not config.get(dataloader_key):
        raise Refusal(
            f'Config {config.filename} has no `{dataloader_key}`: a dataloader over the training '
            'images with image-level labels, whose pipeline loads no annotations.'
        )
    options = dict(config.get('pseudo_mask_evaluator') or {})
    score = options.pop('background_score', config.model.get('background_score', AUTO))
    if background_score is not None:
        score = background_score
    if score != AUTO and not 0 <= score <= 1:
        raise Refusal(f'`background_score` must be in [0, 1] or {AUTO!r}, got {score}.')
    if refine is not None:
        options['refine'] = named_refinement(refine)
    evaluator = dict(type='PseudoMaskWriter', **options, out_dir=out_dir)
    with process_group(config), ExitStack() as held:
        init_default_scope(config.get('default_scope', 'mmseg'))
        loader = config[dataloader_key]
        built: list[Any] = []  # the model of the main process, if it has chosen a score

        def prepare() -> tuple[float, list[int], int]:
            """Score, positions of the images without a mask, number of images to be done."""
            images, order = _images(loader.dataset)
            classes = list(images.metainfo['classes'])
            check_num_classes(len(classes), f'`{dataloader_key}`')
            refinement = TASK_UTILS.build(options['refine']) if options.get('refine') else None
            check_writable(out_dir)
            held.enter_context(folder_lock(out_dir))
            record = _open(out_dir, overwrite)
            number = score
            if score == AUTO and ENTRY in record:
                number = record[ENTRY].settings['background_score']
            elif score == AUTO:
                number, model = _choose_score(config, weights, loader, order)
                built.append(model)
            settings = dict(
                background_score=number,
                refinement='none' if refinement is None else refinement.settings,
                flip=config.model.get('flip'),
                pipeline=loader.dataset.pipeline,  # with the scales of CAM inference
                classes=classes,
            )
            if weights is None:
                settings['generator'] = config.model.mask_generator
            palette = images.metainfo.get('palette') or class_colours(len(classes))
            missing = _begin(record, settings, weights, refinement, images, order, palette)
            write_classes(out_dir, classes, palette)
            return number, missing, len(order)

        config.model.background_score, missing, wanted = _in_main_process(prepare)
        if not missing:
            print_log(f'All pseudo masks are in {out_dir} already.', logger='current')
            return dict(masks=0)
        print_log(f'{len(missing)} of {wanted} pseudo masks will be made.', logger='current')
        if len(missing) < wanted:  # the positions become part of the config in the log
            loader.dataset.indices = missing
        metrics = _predict(config, weights, loader, evaluator, *built)
        if is_main_process():
            _finish(Record(out_dir))
        return metrics


def _images(dataset: ConfigDict) -> tuple[Any, list[int]]:
    """A data set without its pipeline, and the positions that its ``indices`` select."""
    images = DATASETS.build(dict(dataset, pipeline=[], indices=None))
    order, indices = list(range(len(images))), dataset.get('indices')
    if isinstance(indices, int):  # the first n, or the last n of a negative number
        return images, order[:indices] if indices >= 0 else order[indices:]
    return images, order if indices is None else [order[index] for index in indices]


def recorded_score(record: Record) -> float:
    """The background score of a folder's masks; ``Refusal`` if their record is damaged."""
    entry = record[ENTRY]
    score: Any = entry.settings.get('background_score')
    tags = entry.about.get('tags', {})
    if type(score) not in (int, float) or not 0 <= score <= 1 or not isinstance(tags, dict):
        key = 'settings.background_score' if isinstance(tags, dict) else 'about.tags'
        raise Refusal(f'{record.file} is damaged ({key} of {ENTRY!r}): restore it, or {record.way}')
    return score


def _open(out_dir: str, overwrite: bool) -> Record:
    """The record of a folder, without the leftovers of a killed run and the masks to overwrite."""
    other = 'choose another folder with --out'
    record = Record(out_dir, other if overwrite else f'{other}, or make anew with --overwrite')
    masks = sorted(Path(out_dir).rglob('*.png'))
    if masks and ENTRY not in record:
        raise Refusal(
            f'{out_dir} holds PNG files, but it is no folder of pseudo masks: {other} that is new '
            'or empty'
        )
    if overwrite and ENTRY in record:
        # masks first: after an interruption the record still fits the remaining ones
        for mask in masks:
            mask.unlink()
        record.forget(ENTRY)
        print_log(f'Deleted {len(masks)} masks of {out_dir}.', logger='current')
    remove_leftovers(out_dir, recursive=True)
    if ENTRY in record:
        recorded_score(record)
    return record


def _begin(
    record: Record,
    settings: dict[str, Any],
    weights: Path | None,
    refinement: Any,
    images: Any,
    order: Sequence[int],
    palette: Sequence[Sequence[int]],
) -> list[int]:
    """Compare with what the masks were made from, record what is added, and return what is missing:
    positions of the images without a mask."""
    photos, tags, missing = {}, {}, []
    for position in order:
        info = images.get_data_info(position)
        name, path = info['img_id'], str(info['img_path'])
        tags[name] = np.flatnonzero(info.get('image_labels', ())).tolist()
        photos[name] = Path(path)
        if not mask_path(record.folder, name).exists():
            missing.append(position)
    inputs = {_PHOTO + name: path for name, path in photos.items()}
    if weights is not None:
        inputs['checkpoint'] = weights
    if hasattr(refinement, 'inputs'):
        inputs |= refinement.inputs(photos)
    old = record[ENTRY].about.get('tags', {}) if ENTRY in record else {}
    changed = [name for name, found in tags.items() if old.get(name, found) != found]
    if changed:
        raise Refusal(
            f'{record.folder}: the tags of {name_some(changed)} are not those that its masks were '
            f'made from. {record.way[0].upper()}{record.way[1:]}'
        )
    state = record.begin(
        ENTRY, settings, inputs, grows=True, palette=list(palette), tags=old | tags
    )
    if not missing and state != 'complete':
        _finish(record)
    return missing


def _finish(record: Record) -> None:
    """Record that the masks are complete."""
    names = [name for name in record[ENTRY].inputs if name.startswith(_PHOTO)]
    masks = [mask_path(record.folder, name.removeprefix(_PHOTO)) for name in names]
    record.finish(ENTRY, [mask for mask in masks if mask.exists()])


def _in_main_process(function: Callable[[], Result]) -> Result:
    """Call a function only in the main process, before any writes; all get its result or error."""
    found: list[Any] = [None]
    if is_main_process():
        try:
            found = [function()]
        except Exception as error:  # the other processes are waiting
            found = [error]
    broadcast_object_list(found)
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


def _predict(
    config: Config,
    weights: Path | None,
    loader: ConfigDict,
    evaluator: dict[str, Any],
    model: Any = None,
) -> dict[str, Any]:
    """Predict the images of a dataloader and write their masks; the model may be there already."""

    class Predicting(Runner):
        def build_model(self, config: Any) -> Any:
            return super().build_model(config) if model is None else model

    # training and validation are not built, because they could open masks
    for key in ('train', 'val'):
        config[f'{key}_dataloader'] = config[f'{key}_cfg'] = None
    config.val_evaluator = config.optim_wrapper = config.param_scheduler = None
    config.test_dataloader, config.test_evaluator = loader, evaluator
    config.test_cfg = dict(type='TestLoop')
    config.load_from, config.resume = None, False
    if model is None:
        config.load_from = weights and with_scheme(str(weights))
    else:
        model.background_score = config.model.background_score
    runner = Predicting.from_cfg(config)
    (writer,) = runner.test_loop.evaluator.metrics
    try:
        return runner.test()
    finally:
        writer.close()


def _choose_score(
    config: Config, weights: Path | None, loader: ConfigDict, order: Sequence[int]
) -> tuple[float, Any]:
    """The score that CLIP chooses by images from the whole list of positions, and the model."""
    # CAMs do not depend on the score
    model = MODELS.build({k: v for k, v in config.model.items() if k != 'background_score'})
    if weights is not None:
        load_checkpoint(model, with_scheme(str(weights)), map_location='cpu', logger='current')
    number = min(IMAGES_TO_CHOOSE_BY, len(order))
    chosen = [order[i] for i in np.linspace(0, len(order) - 1, number).astype(int)]
    images = DATASETS.build(dict(loader.dataset, indices=chosen))
    # the config's sampler gives this process only its share
    batches = Runner.build_dataloader(
        dict(loader, dataset=images, sampler=SequentialSampler(images))
    )
    names = (images.get_data_info(index)['img_id'] for index in range(len(images)))
    model.kept = dict.fromkeys(names)  # their masks are made from the same CAMs
    return choose_background_score(model.to(get_device()), batches), model
