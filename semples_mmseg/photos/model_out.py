"""The finished model of a run in its own folder, independent of the rest of the run."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from rich.console import Console

from ..utils.classes import model_metainfo, read_classes
from ..utils.errors import MissingPackage
from ..utils.files import file_digest
from ..utils.images import PHOTO_SUFFIXES
from ..utils.io import atomic_write, write_json
from ..utils.label_png import write_classes
from ..version import __version__
from ..weights import read_checkpoint
from .architecture import MADE_BY_HAND, describe, without_weights
from .onnx_export import check_packages, export_onnx
from .run import Run

ENTRY = 'model'
"""Entry of the record."""
_KEPT = (
    *('custom_imports', 'default_scope', 'env_cfg', 'randomness', 'default_hooks', 'vis_backends'),
    *('visualizer', 'log_processor', 'log_level', 'crf', 'tta_model', 'tta_pipeline'),
)


def write_model(run: Run, by_hand: int = 0) -> list[Path]:
    """Write ``run/model``; without ``segmenter.onnx`` where the extra ``onnx`` is not installed.

    Files that the record of the run calls complete stay as they are. All are made anew from weights
    that the run has trained again; a missing ONNX file, once the packages for it are there.
    ``segmenter.py`` and the checkpoint have classes and colours inside, for MMSegmentation.
    ``by_hand`` is the number of masks of the training that were made by hand, for ``model.json``.
    """
    record, weights, without = run.record(), run.segmenter_weights, ''
    try:
        check_packages()
    except MissingPackage as error:
        without = str(error)
    names = ('segmenter.py', 'segmenter.pth', 'segmenter.onnx', 'classes.json', 'model.json')
    config, checkpoint, onnx, classes, about = (run.model / name for name in names)
    made = record[ENTRY].outputs or {} if ENTRY in record else {}
    anew = not without and 'model/segmenter.onnx' not in made
    if ENTRY in record and weights.is_file():
        # Trained again by this run, whose later steps are made anew then, too.
        anew = anew or record[ENTRY].inputs[weights.name][2] != file_digest(weights)
    if record.begin(ENTRY, {}, {weights.name: weights}, anew=anew) == 'complete':
        return [run.folder / name for name in made]
    source = Config.fromfile(run.segmenter_config)
    meta = model_metainfo(read_classes(source.model.class_names, 'model.class_names'))
    write_json(about, describe(source, meta) | {MADE_BY_HAND: by_hand}, ensure_ascii=False)
    with atomic_write(config) as text:
        text.write(_inference_config(source, meta).pretty_text)
    with atomic_write(checkpoint, 'wb') as stream:
        state = read_checkpoint(weights)['state_dict']
        kept = dict(dataset_meta=meta, semples_mmseg_version=__version__)
        torch.save(dict(state_dict=state, meta=kept), stream)
    write_classes(run.model, meta['classes'], meta['palette'])
    files = [config, checkpoint, classes, about]
    if without:
        print_log(f'no ONNX file was written: {without}', logger='current', level=logging.WARNING)
    else:
        export_onnx(config, checkpoint, onnx)
        files.insert(2, onnx)
    record.finish(ENTRY, files)
    return files


def log_model(run: Run, console: Console, by_hand: int = 0) -> list[Path]:
    """``write_model``; what is printed meanwhile goes to ``logs/model.log``."""
    with (
        console.status('writing the model'),
        open(run.logs / 'model.log', 'w', encoding='utf-8') as log,
        contextlib.redirect_stdout(log),
    ):
        return write_model(run, by_hand)


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
            model=without_weights(dict(content['model'], class_names=names)),
            test_pipeline=pipeline,
            test_dataloader=loader,
            test_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']),
            test_cfg=dict(),
        )
    )
