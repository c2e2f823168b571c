"""Pseudo masks of a data set from a config and a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from copy import deepcopy
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
from ..utils.errors import Refusal
from ..utils.io import check_writable
from ..utils.label_png import check_num_classes, class_colours, mask_path, write_classes
from ..utils.locks import folder_lock
from ..utils.shards import Shard, positions
from ..weights import with_scheme
from . import REFINEMENTS
from .background_score import choose_background_score
from .manifest import checkpoint_entry, open_folder, recorded_score

AUTO = 'auto'
IMAGES_TO_CHOOSE_BY = 300

Result = TypeVar('Result')


def make_pseudo_masks(
    config: Config,
    checkpoint: str,
    out_dir: str,
    background_score: float | str | None = None,
    refine: str | None = None,
    dataloader_key: str = 'pseudo_mask_dataloader',
    overwrite: bool = False,
    shard: Shard | None = None,
) -> dict[str, Any]:
    """Predict CAMs of the training images and write their pseudo masks.

    The images come from the dataloader under ``dataloader_key``, which needs image-level labels
    but no masks; the refinement and the writer's other options from ``pseudo_mask_evaluator``, if
    the config has one. Images whose mask is finished are not predicted again.

    The folder is locked, so that no other run writes to it at the same time.
    ``pseudo_masks.json`` in it records the settings; a folder of other settings or classes is
    refused. ``classes.json`` has name and colour of each id.

    With a launcher, every process predicts its share of the missing images. The main process lists
    them before any mask is written.

    Args:
        config: Config of the model that predicts CAMs. It is not changed.
        checkpoint: Its weights.
        out_dir: Folder of the masks.
        background_score: Score t of the background, 0..1, in place of the config's, which is
            ``pseudo_mask_evaluator.background_score`` or else ``model.background_score``. With
            ``'auto'``, or where the config has none, CLIP chooses by 300 images
            (``choose_background_score``); if ``out_dir`` already has masks of this
            checkpoint, their score is used.
        refine: One of ``REFINEMENTS``, in place of ``pseudo_mask_evaluator.refine``.
        dataloader_key: Name of the dataloader in the config.
        overwrite: Delete the folder's masks and start anew.
        shard: Make only this part of the masks. Other runs, also on other machines, may make other
            parts at the same time in the same folder; the manifest of the first run applies to all.

    Returns:
        What ``PseudoMaskWriter`` returns for the images predicted in this run.

    Raises:
        KeyError: If the config lacks the dataloader.
        ValueError: If the score is not in [0, 1], there is no such refinement, there are more
            than 254 object classes, the folder holds other masks or another run is writing to it,
            the model cannot choose a background score, or ``overwrite`` is given for a part of the
            masks.
        FileNotFoundError: If the checkpoint or an image is missing.
        ImportError: If the refinement needs a library that is not installed.
        OSError: If the folder cannot be written.
    """
    config = deepcopy(config)
    if not config.get(dataloader_key):
        raise Refusal(
            f'Config {config.filename} has no `{dataloader_key}`: a dataloader over the training '
            'images with image-level labels, whose pipeline loads no annotations.'
        )
    if shard is not None and overwrite:
        raise Refusal(
            f'--overwrite would delete the masks of the other parts: delete {out_dir} before the '
            'first part is started'
        )
    options = dict(config.get('pseudo_mask_evaluator') or {})
    score = options.pop('background_score', config.model.get('background_score', AUTO))
    if background_score is not None:
        score = background_score
    if score != AUTO and not 0 <= score <= 1:
        raise Refusal(f'`background_score` must be in [0, 1] or {AUTO!r}, got {score}.')
    if refine is not None:
        if refine not in REFINEMENTS:
            raise Refusal(f'No refinement {refine!r}; there are {", ".join(REFINEMENTS)}.')
        options['refine'] = REFINEMENTS[refine]
    evaluator = dict(type='PseudoMaskWriter', **options, out_dir=out_dir)
    with process_group(config), ExitStack() as held:
        init_default_scope(config.get('default_scope', 'mmseg'))
        loader = config[dataloader_key]

        def prepare() -> tuple[float, list[int], int, bool]:
            """Score, positions of the images without a mask, number of images to be done, and
            whether there are others."""
            metainfo, wanted = _wanted(loader.dataset)
            check_num_classes(len(metainfo['classes']), f'`{dataloader_key}`')
            refinement = TASK_UTILS.build(options['refine']) if options.get('refine') else None
            manifest = dict(
                checkpoint=checkpoint_entry(checkpoint),
                background_score=score,
                refinement='none' if refinement is None else refinement.settings,
                # the scales of CAM inference are in the pipeline
                settings=dict(flip=config.model.get('flip'), pipeline=loader.dataset.pipeline),
                classes=list(metainfo['classes']),
                palette=metainfo.get('palette') or class_colours(len(metainfo['classes'])),
            )
            check_writable(out_dir)
            held.enter_context(folder_lock(out_dir))
            if score == AUTO:
                found = None if overwrite else recorded_score(out_dir, manifest['checkpoint'])
                if found is None:
                    order = [position for position, _ in wanted]
                    found = _choose_score(config, checkpoint, loader, order)
                    if shard is not None:  # another machine may have rounded differently before
                        found = recorded_score(out_dir, manifest['checkpoint']) or found
                manifest['background_score'] = found
            open_folder(out_dir, manifest, overwrite, shared=shard is not None)
            write_classes(out_dir, manifest['classes'], manifest['palette'])
            own = wanted if shard is None else shard.of(wanted)
            missing = [i for i, name in own if not mask_path(out_dir, name).exists()]
            return manifest['background_score'], missing, len(own), len(missing) < len(wanted)

        config.model.background_score, missing, wanted, some = _in_main_process(prepare)
        part = '' if shard is None else f' of part {shard}'
        if not missing:
            print_log(f'All pseudo masks{part} are in {out_dir} already.', logger='current')
            return dict(masks=0)
        print_log(f'{len(missing)} of {wanted} pseudo masks{part} will be made.', logger='current')
        if some:  # only if needed, because the indices become part of the config in the log
            loader.dataset.indices = missing
        return _predict(config, checkpoint, loader, evaluator)


def _in_main_process(function: Callable[[], Result]) -> Result:
    """Call a function only in the main process; all processes get its result or error.

    Another process could list the folder after the first masks are written.
    """
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
    config: Config, checkpoint: str, loader: ConfigDict, evaluator: dict[str, Any]
) -> dict[str, Any]:
    """Predict the images of a dataloader and write their masks."""
    # training and validation are not built, because they could open masks
    for key in ('train', 'val'):
        config[f'{key}_dataloader'] = config[f'{key}_cfg'] = None
    config.val_evaluator = config.optim_wrapper = config.param_scheduler = None
    config.test_dataloader = loader
    config.test_evaluator = evaluator
    config.test_cfg = dict(type='TestLoop')
    config.load_from, config.resume = with_scheme(checkpoint), False
    runner = Runner.from_cfg(config)
    (writer,) = runner.test_loop.evaluator.metrics
    try:
        return runner.test()
    finally:
        writer.close()


def _choose_score(
    config: Config, checkpoint: str, loader: ConfigDict, order: Sequence[int]
) -> float:
    """Let CLIP choose by images from the whole list of positions."""
    # CAMs do not depend on the score
    model = MODELS.build({k: v for k, v in config.model.items() if k != 'background_score'})
    load_checkpoint(model, with_scheme(checkpoint), map_location='cpu', logger='current')
    number = min(IMAGES_TO_CHOOSE_BY, len(order))
    chosen = [order[i] for i in np.linspace(0, len(order) - 1, number).astype(int)]
    images = DATASETS.build(dict(loader.dataset, indices=chosen))
    # because the config's sampler gives this process only its share
    options = dict(loader, dataset=images, sampler=SequentialSampler(images))
    batches = Runner.build_dataloader(options)
    return choose_background_score(model.to(get_device()), batches).score


def _wanted(dataset: ConfigDict) -> tuple[dict[str, Any], list[tuple[int, str]]]:
    """Metainfo, and (position in the whole data set, id) of each image that ``indices`` selects."""
    options = {k: v for k, v in dataset.items() if k != 'indices'}
    images = DATASETS.build(dict(options, pipeline=[]))
    order = positions(len(images), dataset.get('indices'))
    return images.metainfo, [(i, images.get_data_info(i)['img_id']) for i in order]
