"""What the options of ``tools/test.py`` change in a config."""

import logging
import os
from collections.abc import Sequence
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from ..datasets.pipelines import annotation_loaders
from ..masks.prediction_writer import image_id
from ..utils.errors import Refusal
from ..utils.label_png import class_colours


def use_tta(config: Config) -> None:
    """Test with the config's multi-scale and flip augmentation."""
    for key in ('tta_model', 'tta_pipeline'):
        if not config.get(key):
            raise Refusal(f'--tta: the config {config.filename} has no `{key}`')
    config.test_dataloader.dataset.pipeline = config.tta_pipeline
    config.model = dict(config.tta_model, module=config.model)


def write_predictions(config: Config, folder: str) -> None:
    """Write the predicted label maps too, as palette PNGs.

    For images without masks (no ``data_prefix.seg_map_path``, or no such folder) nothing is
    measured, with a note in the log.
    """
    if not config.get('test_dataloader'):
        raise Refusal(f'--out: the config {config.filename} has no `test_dataloader`')
    dataset, metrics = config.test_dataloader.dataset, _as_list(config.get('test_evaluator'))
    for key, path in (dataset.get('data_prefix') or {}).items():
        if path and os.path.realpath(folder) == os.path.realpath(
            os.path.join(dataset.get('data_root') or '', path)
        ):
            raise Refusal(
                f'--out {folder} is {key} of the test images, whose files the predictions '
                'would overwrite: choose another folder'
            )
    writer = dict(type='PredictionWriter', out_dir=folder)
    if not has_masks(dataset):
        dataset.get('data_prefix', {}).pop('seg_map_path', None)
        dataset.pipeline = _without_annotations(dataset.pipeline)
        left_out = metrics_that_need_masks(metrics)
        metrics = [metric for metric in metrics if not _needs_masks(metric)]
        print_log(
            'there are no masks: predictions are written, and nothing is measured by '
            f'{", ".join(left_out) or "any metric"}',
            logger='current',
            level=logging.WARNING,
        )
    if dataset.get('data_prefix'):
        images = DATASETS.build(dict(dataset, pipeline=[]))
        writer['img_dir'] = images.data_prefix['img_path']
        _check_ids(images, writer['img_dir'])
        if type(images) is BaseSegDataset and not (dataset.get('metainfo') or {}).get('palette'):
            # without it MMSegmentation draws random colours, for the background too
            colours = class_colours(len(images.metainfo['classes']))
            dataset.metainfo = dict(dataset.get('metainfo') or {}, palette=colours)
    config.test_evaluator = [*metrics, writer]
    config.test_cfg = config.get('test_cfg') or dict()


def require_masks(config: Config) -> None:
    """Check that there are masks if a metric needs them."""
    needing = metrics_that_need_masks(config.get('test_evaluator'))
    if needing and config.get('test_dataloader') and not has_masks(config.test_dataloader.dataset):
        raise Refusal(
            f'{", ".join(needing)} of the config {config.filename} needs masks, and there are none '
            'at test_dataloader.dataset.data_prefix.seg_map_path. Name their folder there, or give '
            '--out FOLDER to write predictions without measuring them'
        )


def use_crf(config: Config) -> None:
    """Put a dense CRF between predictions and metrics."""
    if config.get('crf') is None:
        raise Refusal(
            f'--crf: the config {config.filename} has no `crf`, the settings of CRFEvaluator'
        )
    config.test_evaluator = dict(
        type='CRFEvaluator', metrics=_as_list(config.get('test_evaluator')), **config.crf
    )


def metrics_that_need_masks(evaluator: Any) -> list[str]:
    """Types of the metrics of an evaluator's config that compare with masks."""
    return [metric['type'] for metric in _as_list(evaluator) if _needs_masks(metric)]


def _as_list(evaluator: Any) -> list[Any]:
    """The metrics of an evaluator's config: one, several or none."""
    given = evaluator or []
    return list(given) if isinstance(given, (list, tuple)) else [given]


def _needs_masks(metric: Any) -> bool:
    if not isinstance(metric, dict) or metric.get('format_only'):
        return False
    name = str(metric.get('type')).split('.')[-1]
    return name not in ('PredictionWriter', 'VOCSubmission', 'PredictionMetric')


def has_masks(dataset: ConfigDict) -> bool:
    """Whether a data set's config names an existing folder of masks, and loads them.

    True where this is unknown: on other storage, in data sets of other forms.
    """
    prefix = dataset.get('data_prefix')
    if prefix is None or dataset.get('backend_args') is not None:
        return True
    folder = prefix.get('seg_map_path')
    if not folder or not annotation_loaders(dataset.get('pipeline')):
        return False
    return os.path.isdir(os.path.join(dataset.get('data_root') or '', folder))


def _without_annotations(pipeline: Sequence[Any]) -> list[Any]:
    """A pipeline without the transforms that load masks, in test-time augmentation too."""
    kept = []
    for transform in pipeline:
        if isinstance(transform, (list, tuple)):
            if inner := _without_annotations(transform):
                kept.append(inner)
        elif not annotation_loaders(dict(type=transform['type'])):
            if 'transforms' in transform:
                inner = _without_annotations(transform['transforms'])
                transform = dict(transform, transforms=inner)
            kept.append(transform)
    return kept


def _check_ids(images: Any, img_dir: str) -> None:
    """Refuse images whose predictions have the same file name."""
    paths: dict[str, str] = {}
    for index in range(len(images)):
        info = images.get_data_info(index)
        first = paths.setdefault(image_id(info, img_dir), info['img_path'])
        if first != info['img_path']:
            raise Refusal(
                f'--out: the predictions of {first} and {info["img_path"]} would be the same file; '
                'rename one of the images'
            )
