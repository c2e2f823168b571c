"""What the options of ``tools/test.py`` change in a config, and what needs masks."""

import logging
import os
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log

from ..datasets.transforms import annotation_loaders
from ..utils.errors import Refusal

_FIXES = {
    'val': 'To train without validation: --cfg-options val_dataloader=None val_cfg=None '
    'val_evaluator=None',
    'test': 'To write predictions without measuring them: --out FOLDER',
}


def use_tta(config: Config) -> None:
    """Test with the config's multi-scale and flip augmentation."""
    for key in ('tta_model', 'tta_pipeline'):
        if not config.get(key):
            raise Refusal(f'--tta: the config {config.filename} has no `{key}`')
    if 'mask_generator' in config.model:
        raise Refusal(
            f'--tta: {config.model.type} predicts at several scales and mirrored by itself: see '
            'PackWeakInputs(scales=...) in the test pipeline, and model.flip'
        )
    config.test_dataloader.dataset.pipeline = config.tta_pipeline
    config.model = dict(config.tta_model, module=config.model)


def use_crf(config: Config) -> None:
    """Put a dense CRF between predictions and metrics."""
    if config.get('crf') is None:
        raise Refusal(
            f'--crf: the config {config.filename} has no `crf`, the settings of CRFEvaluator'
        )
    metrics = _metrics(config, 'test')
    config.test_evaluator = dict(type='CRFEvaluator', metrics=metrics, **config.crf)


def write_predictions(config: Config, folder: str) -> None:
    """Write the predicted label maps too, as palette PNGs.

    For images without masks (no ``data_prefix.seg_map_path``, or no such folder) nothing is
    measured, with a note in the log.
    """
    dataset, metrics = config.test_dataloader.dataset, _metrics(config, 'test')
    prefix = dataset.get('data_prefix') or {}
    for key, path in prefix.items():
        if path and os.path.realpath(folder) == os.path.realpath(_folder(dataset, key)):
            raise Refusal(
                f'--out {folder} is {key} of the test images, whose files the predictions '
                'would overwrite: choose another folder'
            )
    if not _has_masks(dataset):
        prefix.pop('seg_map_path', None)
        dataset.pipeline = _without_annotations(dataset.pipeline)
        left_out = ', '.join(metric['type'] for metric in metrics if _needs_masks(metric))
        metrics = [metric for metric in metrics if not _needs_masks(metric)]
        print_log(
            'there are no masks: predictions are written, and nothing is measured by '
            f'{left_out or "any metric"}',
            logger='current',
            level=logging.WARNING,
        )
    images = _folder(dataset, 'img_path')
    writer = dict(type='PredictionWriter', out_dir=folder, img_dir=images)
    config.test_evaluator = [*metrics, writer]


def require_masks(config: Config, part: str) -> None:
    """Refuse metrics that need masks if there are none; ``part`` is ``'val'`` or ``'test'``."""
    needing = [metric['type'] for metric in _metrics(config, part) if _needs_masks(metric)]
    loader = config.get(f'{part}_dataloader')
    if not loader or not needing or _has_masks(loader.dataset):
        return
    if not os.path.isdir(_folder(loader.dataset, 'img_path')):
        return  # the data set raises an error, or draws its images there
    raise Refusal(
        f'{", ".join(needing)} of {part}_evaluator needs masks, and the config {config.filename} '
        f'has none: name their folder, {part}_dataloader.dataset.data_prefix.seg_map_path, and '
        f'load them by LoadAnnotations in the pipeline. {_FIXES[part]}'
    )


def _folder(dataset: ConfigDict, key: str) -> str:
    """A folder of ``data_prefix``."""
    prefix = dataset.get('data_prefix') or {}
    return os.path.join(dataset.get('data_root') or '', prefix.get(key) or '')


def _metrics(config: Config, part: str) -> list[Any]:
    given = config.get(f'{part}_evaluator') or []
    return list(given) if isinstance(given, (list, tuple)) else [given]


def _needs_masks(metric: Any) -> bool:
    if not isinstance(metric, dict) or metric.get('format_only'):
        return False
    name = str(metric.get('type')).split('.')[-1]
    return name not in ('PredictionWriter', 'PredictionMetric')


def _has_masks(dataset: ConfigDict) -> bool:
    """Whether a data set loads masks of an existing folder; True where this is unknown."""
    prefix = dataset.get('data_prefix')
    if prefix is None:
        return True
    if not prefix.get('seg_map_path') or not annotation_loaders(dataset.get('pipeline')):
        return False
    return os.path.isdir(_folder(dataset, 'seg_map_path'))


def _without_annotations(part: Any) -> Any:
    """A pipeline without the transforms that load masks, those of test-time augmentation too."""
    if isinstance(part, (list, tuple)):
        kept = [_without_annotations(step) for step in part]
        return [step for step in kept if step]
    if 'transforms' in part:
        return dict(part, transforms=_without_annotations(part['transforms']))
    return None if annotation_loaders(part) else part
