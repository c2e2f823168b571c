"""Pseudo masks of a data set from a config and a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.dist import broadcast_object_list, init_dist, is_distributed, is_main_process
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import DATASETS

from .refinement import REFINEMENTS
from .writer import PseudoMaskWriter


def make_pseudo_masks(
    config: Config,
    checkpoint: str,
    out_dir: str,
    background_score: float | None = None,
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
        background_score: Score t of the background; ``pseudo_mask_evaluator.background_score``
            by default.
        refine: One of ``REFINEMENTS``, in place of ``pseudo_mask_evaluator.refine``.
        dataloader_key: Name of the dataloader in the config.
        overwrite: Delete the folder's masks and start anew.

    Returns:
        What :class:`PseudoMaskWriter` returns for the images predicted in this run.

    Raises:
        KeyError: If the config lacks the dataloader.
        ValueError: If there is no background score, no such refinement, or the folder holds other
            masks.
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
    if evaluator.get('background_score') is None:
        raise ValueError(
            'No background score: give --background-score or set '
            f'`pseudo_mask_evaluator = dict(background_score=...)` in {config.filename}.'
        )
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

    if config.get('launcher', 'none') != 'none' and not is_distributed():
        init_dist(config.launcher, **config.get('env_cfg', {}).get('dist_cfg', {}))
    init_default_scope(config.get('default_scope', 'mmseg'))
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
    config.load_from, config.resume = checkpoint, False
    runner = Runner.from_cfg(config)
    (writer,) = runner.test_loop.evaluator.metrics
    try:
        return runner.test()
    finally:
        writer.close()


def _unfinished(dataset: ConfigDict, folder: Path) -> tuple[list[int], int]:
    """Positions in the whole data set of the wanted images without a mask, and how many images
    are wanted in all."""
    found: list[Any] = [None]
    if is_main_process():
        options = {k: v for k, v in dataset.items() if k != 'indices'}
        images = DATASETS.build(dict(options, pipeline=[]))
        order = list(range(len(images)))
        wanted = dataset.get('indices')
        if isinstance(wanted, int):
            order = order[:wanted] if wanted >= 0 else order[wanted:]
        elif wanted is not None:
            order = [order[i] for i in wanted]
        names = [images.get_data_info(i)['img_id'] for i in order]
        pairs = zip(order, names, strict=True)
        missing = [i for i, name in pairs if not (folder / f'{name}.png').exists()]
        found = [(missing, len(order))]
    # one process decides: another one could list the folder after the first masks are written
    broadcast_object_list(found)
    return found[0]
