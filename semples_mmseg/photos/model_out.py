"""The finished model of a run in its own folder, independent of the rest of the run."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from rich.console import Console

from ..utils.classes import model_metainfo, read_classes
from ..utils.errors import MissingPackage
from ..utils.files import file_digest
from ..utils.images import PHOTO_SUFFIXES
from ..utils.io import atomic_write, write_json
from ..utils.label_png import write_classes
from ..utils.parallel import WorkerPool
from ..version import __version__
from ..weights import read_checkpoint
from .architecture import MADE_BY_HAND, describe, without_weights
from .onnx_export import check_packages, export_onnx, prepare_export
from .predicting import MODEL
from .run import Run

PREPARES = True
"""Whether a process of its own prepares the export."""
_KEPT = (
    *('custom_imports', 'default_scope', 'env_cfg', 'randomness', 'default_hooks', 'vis_backends'),
    *('visualizer', 'log_processor', 'log_level', 'crf', 'tta_model', 'tta_pipeline'),
)


def write_model(
    run: Run, by_hand: int = 0, export: Callable[..., object] = export_onnx
) -> list[Path]:
    """Write ``run/model``; without ``segmenter.onnx`` where the extra ``onnx`` is not installed.

    Files that the record of the run calls complete stay as they are. All are made anew from weights
    that the run has trained again; a missing ONNX file, once the packages for it are there.
    ``segmenter.py`` and the checkpoint have classes and colours inside, for MMSegmentation.
    ``by_hand`` is the number of masks of the training that were made by hand, for ``model.json``;
    ``export`` is ``export_onnx``, or of ``exporting``.
    """
    record, weights, without = run.record(), run.segmenter_weights, _lacking()
    names = ('segmenter.py', 'segmenter.pth', 'segmenter.onnx', 'classes.json', 'model.json')
    config, checkpoint, onnx, classes, about = (run.model / name for name in names)
    made = record[MODEL].outputs or {} if MODEL in record else {}
    anew = not without and 'model/segmenter.onnx' not in made
    if MODEL in record and weights.is_file():
        # Trained again by this run, whose later steps are made anew then, too.
        anew = anew or record[MODEL].inputs[weights.name][2] != file_digest(weights)
    if record.begin(MODEL, {}, {weights.name: weights}, anew=anew) == 'complete':
        return [run.folder / name for name in made]
    source = Config.fromfile(run.segmenter_config)
    meta = _meta(source)
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
        export(config, checkpoint, onnx)
        files.insert(2, onnx)
    record.finish(MODEL, files)
    return files


@contextlib.contextmanager
def exporting(run: Run, late: bool = False) -> Iterator[Callable[..., object]]:
    """``export_onnx`` for a run that is being trained: another process prepares it meanwhile.

    With ``late`` it begins with the training of the Segmenter: what goes before needs the memory.
    """
    record = run.record()
    made = MODEL in record and record[MODEL].outputs is not None
    if made or not PREPARES or get_device() != 'cpu' or _lacking():  # a fork has no GPU
        yield export_onnx
        return
    with WorkerPool(_export, 1) as pool:
        pool.put(run, late)
        yield lambda *files: (pool.put(run, late, *files), pool.wait())


def _export(run: Run, late: bool = False, *files: Path) -> None:
    if files:
        export_onnx(*files)
        return
    while late and not run.segmenter.exists():
        time.sleep(1)
    with contextlib.suppress(Exception):  # the export itself will tell
        config = Config.fromfile(run.segmenter_config)
        prepare_export(_inference_config(config, _meta(config)))


def log_model(
    run: Run, console: Console, export: Callable[..., object], by_hand: int = 0
) -> list[Path]:
    """``write_model``; what is printed meanwhile goes to ``logs/model.log``."""
    with (
        console.status('writing the model'),
        open(run.logs / 'model.log', 'w', encoding='utf-8') as log,
        contextlib.redirect_stdout(log),
    ):
        return write_model(run, by_hand, export)


def _lacking() -> str:
    """Why no ONNX file can be written; empty if it can."""
    try:
        check_packages()
    except MissingPackage as error:
        return str(error)
    return ''


def _meta(source: Config) -> dict[str, Any]:
    return model_metainfo(read_classes(source.model.class_names, 'model.class_names'))


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
