"""The finished model of a run in its own folder, independent of the rest of the run."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import print_log

from ..utils.classes import model_metainfo, read_classes
from ..utils.errors import Missing
from ..utils.images import PHOTO_SUFFIXES
from ..utils.io import atomic_write
from ..utils.label_png import write_classes
from ..version import __version__
from ..weights import read_checkpoint
from ..weights.latest_checkpoint import latest_whole_checkpoint
from .onnx_export import check_packages, export_onnx
from .run import Run

FILES = ('segmenter.py', 'segmenter.pth', 'segmenter.onnx', 'classes.json')


def write_model(run: Run) -> list[Path]:
    """Write ``segmenter.py``, ``segmenter.pth``, ``segmenter.onnx`` and ``classes.json``.

    Config and checkpoint have the classes and colours inside. MMSegmentation's ``init_model``,
    ``MMSegInferencer`` and test tool read them from any folder; the test data are
    ``DATA_ROOT/images`` and ``DATA_ROOT/masks``.

    Args:
        run: A run with its ``segmenter_config`` and a checkpoint in ``segmenter``.

    Returns:
        The files; without ``segmenter.onnx`` where the extra ``onnx`` is not installed.

    Raises:
        FileNotFoundError: If there is no config or no checkpoint.
        ValueError: If the model cannot be exported.
        RuntimeError: If the ONNX file does not agree with PyTorch.
    """
    checkpoint = latest_whole_checkpoint(run.segmenter)
    if checkpoint is None:
        raise Missing(f'{run.segmenter} has no checkpoint: the Segmenter is not trained')
    source = Config.fromfile(run.segmenter_config)
    named = read_classes(source.model.class_names, 'model.class_names')
    meta = model_metainfo(named)
    files = [run.model / name for name in FILES]
    with atomic_write(files[0]) as text:
        text.write(_inference_config(source, meta).pretty_text)
    with atomic_write(files[1], 'wb') as stream:
        state = read_checkpoint(checkpoint)['state_dict']
        about = dict(dataset_meta=meta, semples_mmseg_version=__version__)
        torch.save(dict(state_dict=state, meta=about), stream)
    write_classes(run.model, meta['classes'], meta['palette'])
    try:
        check_packages()
    except ImportError as error:
        files.pop(2).unlink(missing_ok=True)
        print_log(f'no ONNX file was written: {error}', logger='current', level=logging.WARNING)
        return files
    export_onnx(files[0], files[1], files[2])
    return files


_KEPT = (
    *('custom_imports', 'default_scope', 'env_cfg', 'randomness', 'default_hooks', 'vis_backends'),
    *('visualizer', 'log_processor', 'log_level', 'crf', 'tta_model', 'tta_pipeline'),
)


def _inference_config(source: Config, meta: dict[str, Any]) -> Config:
    """The part of a Segmenter's config that prediction and testing need."""
    content = source.to_dict()
    names = list(meta['classes'][1:])
    loader = dict(content['test_dataloader'])
    pipeline = loader['dataset']['pipeline']
    loader['dataset'] = dict(
        type='CheckedSegDataset',
        data_root='{{$DATA_ROOT:data}}',
        class_names=names,
        metainfo=dict(palette=meta['palette']),
        img_suffix=PHOTO_SUFFIXES,
        data_prefix=dict(img_path='images', seg_map_path='masks'),
        pipeline=pipeline,
        test_mode=True,
    )
    return Config(
        dict(
            {key: content[key] for key in _KEPT if key in content},
            model=_without_weights(dict(content['model'], class_names=names)),
            test_pipeline=pipeline,
            test_dataloader=loader,
            test_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']),
            test_cfg=dict(),
        )
    )


def _without_weights(part: Any) -> Any:
    """A config without the files of initial weights."""
    if isinstance(part, dict):
        kept = {key: _without_weights(value) for key, value in part.items()}
        if isinstance(kept.get('init_cfg'), dict) and kept['init_cfg'].get('type') == 'Pretrained':
            del kept['init_cfg']
        return kept
    return part
