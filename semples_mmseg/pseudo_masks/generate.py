"""Pseudo masks of a data set from a config and a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, load_checkpoint
from mmseg.registry import DATASETS, MODELS
from torch.utils.data import SequentialSampler

from ..engine.processes import process_group
from ..refinement.base import REFINEMENTS
from ..utils.label_png import mask_path
from ..weights import with_scheme
from .background_score import choose_background_score
from .manifest import recorded_score
from .writer import PseudoMaskWriter

AUTO = 'auto'
IMAGES_TO_CHOOSE_BY = 300


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
    but no masks; the writer's options from ``pseudo_mask_evaluator``, if the config has one. Images
    whose mask is finished are not predicted again.

    With a launcher, every process predicts its share of the images that are missing: which those
    are the main process finds out for all of them, before any mask is written.

    Args:
        config: Config of the model that predicts CAMs. It is not changed.
        checkpoint: Its weights.
        out_dir: Folder of the masks.
        background_score: Score t of the background, or ``'auto'``;
            ``pseudo_mask_evaluator.background_score`` by default, and ``'auto'`` if the config has
            none. ``'auto'`` lets CLIP choose (:func:`.choose_background_score`) by 300 images;
            masks that are in ``out_dir`` already, of this checkpoint, are continued with theirs.
        refine: One of ``REFINEMENTS``, in place of ``pseudo_mask_evaluator.refine``.
        dataloader_key: Name of the dataloader in the config.
        overwrite: Delete the folder's masks and start anew.

    Returns:
        What :class:`PseudoMaskWriter` returns for the images predicted in this run.

    Raises:
        KeyError: If the config lacks the dataloader.
        ValueError: If there is no such refinement, the folder holds other masks, or the model
            cannot choose a background score.
        FileNotFoundError: If the checkpoint or an image is missing.
        ImportError: If the refinement needs a library that is not installed.
        OSError: If the folder cannot be written.
    """
    config = Config(config.to_dict(), filename=config.filename)
    if not config.get(dataloader_key):
        raise KeyError(
            f'Config {config.filename} has no `{dataloader_key}`: a dataloader over the training '
            'images with image-level labels, whose pipeline loads no annotations.'
        )
    dataset = config[dataloader_key].dataset
    evaluator = dict(type='PseudoMaskWriter', **config.get('pseudo_mask_evaluator', {}))
    if background_score is not None:
        evaluator['background_score'] = background_score
    if refine is not None:
        if refine not in REFINEMENTS:
            raise ValueError(f'No refinement {refine!r}; there are {", ".join(REFINEMENTS)}.')
        evaluator['refine'] = REFINEMENTS[refine]
    evaluator.update(
        out_dir=out_dir,
        checkpoint=checkpoint,
        # the scales of CAM inference are in the pipeline
        settings=dict(flip=config.model.get('flip'), pipeline=dataset.pipeline),
    )
    with process_group(config):
        return _make(config, evaluator, dataloader_key, overwrite)


def _make(
    config: Config, evaluator: dict[str, Any], dataloader_key: str, overwrite: bool
) -> dict[str, Any]:
    """Choose the score, open the folder, predict; in each of the processes."""
    checkpoint, out_dir = evaluator['checkpoint'], evaluator['out_dir']
    dataset = config[dataloader_key].dataset
    init_default_scope(config.get('default_scope', 'mmseg'))
    if evaluator.get('background_score', AUTO) == AUTO:
        found = None if overwrite else recorded_score(out_dir, checkpoint)
        evaluator['background_score'] = (
            _choose_score(config, checkpoint, config[dataloader_key]) if found is None else found
        )
    # opens the folder, or refuses it, before any model is built
    PseudoMaskWriter(overwrite=overwrite, **{k: v for k, v in evaluator.items() if k != 'type'})
    missing, wanted = _unfinished(dataset, Path(out_dir))
    if not missing:
        print_log(f'All pseudo masks are in {out_dir} already.', logger='current')
        return dict(masks=0)
    print_log(f'{len(missing)} of {wanted} pseudo masks are to be made.', logger='current')
    dataset.indices = missing

    # nothing of training or validation may be built: it could open masks
    for key in ('train', 'val'):
        config[f'{key}_dataloader'] = config[f'{key}_cfg'] = None
    config.val_evaluator = config.optim_wrapper = config.param_scheduler = None
    config.test_dataloader = config[dataloader_key]
    config.test_evaluator = evaluator
    config.test_cfg = dict(type='TestLoop')
    config.load_from, config.resume = with_scheme(checkpoint), False
    runner = Runner.from_cfg(config)
    (writer,) = runner.test_loop.evaluator.metrics
    try:
        return runner.test()
    finally:
        writer.close()


def _choose_score(config: Config, checkpoint: str, loader: ConfigDict) -> float:
    """Let CLIP choose, in the main process for all, by images from all over the list."""
    found: list[Any] = [None]
    if is_main_process():
        try:
            model = MODELS.build(config.model)
            load_checkpoint(model, with_scheme(checkpoint), map_location='cpu', logger='current')
            order = [index for index, _ in _wanted(loader.dataset)]
            number = min(IMAGES_TO_CHOOSE_BY, len(order))
            chosen = [order[i] for i in np.linspace(0, len(order) - 1, number).astype(int)]
            images = DATASETS.build(dict(loader.dataset, indices=chosen))
            # the sampler of the config would leave this process its share alone
            options = dict(loader, dataset=images, sampler=SequentialSampler(images))
            batches = Runner.build_dataloader(options)
            found = [choose_background_score(model.to(get_device()), batches).score]
        except Exception as error:  # the other processes are waiting
            found = [error]
    broadcast_object_list(found)
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


def _wanted(dataset: ConfigDict) -> list[tuple[int, str]]:
    """Positions in the whole data set and ids of the images that ``indices`` leaves."""
    options = {k: v for k, v in dataset.items() if k != 'indices'}
    images = DATASETS.build(dict(options, pipeline=[]))
    order = list(range(len(images)))
    wanted = dataset.get('indices')
    if isinstance(wanted, int):
        order = order[:wanted] if wanted >= 0 else order[wanted:]
    elif wanted is not None:
        order = [order[i] for i in wanted]
    return [(i, images.get_data_info(i)['img_id']) for i in order]


def _unfinished(dataset: ConfigDict, folder: Path) -> tuple[list[int], int]:
    """Positions in the whole data set of the wanted images without a mask, and how many images
    are wanted in all."""
    found: list[Any] = [None]
    if is_main_process():
        wanted = _wanted(dataset)
        missing = [i for i, name in wanted if not mask_path(folder, name).exists()]
        found = [(missing, len(wanted))]
    # one process decides: another one could list the folder after the first masks are written
    broadcast_object_list(found)
    return found[0]
