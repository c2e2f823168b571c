"""What the demo ends with: a table, a picture grid, ``results.json``."""

import json
import platform
from pathlib import Path
from typing import Any

import mmengine
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from mmseg.registry import DATASETS, MODELS
from rich.console import Console
from rich.table import Table
from torch import nn

from ..evaluation.scores import confusion_matrix, segmentation_scores
from ..utils import atomic_write
from ..utils.label_png import read_mask
from .grid import demo_grid
from .steps import SEGMENTER, SEMPLES, TITLES, segmenter_file, stage_file
from .world import OBJECTS

ROWS = 8


def report_demo(root: Path, folder: Path, data_root: Path, console: Console) -> dict[str, Any]:
    """Collect the demo's figures, print the table, draw the grid, write ``results.json``.

    Args:
        root: Folder of ``configs`` and ``tools``.
        folder: Where the steps left their results.
        data_root: Where the demo world is.
        console: Where the table goes.

    Returns:
        What ``results.json`` holds: seed mIoU by stage on training and held-out scenes, mIoU of
        pseudo masks and Segmenter, in percent.
    """
    held_out = {
        record['stage']: record['metrics'] for record in _read(folder / 'semples' / 'stages.json')
    }
    seeds = {
        stage: dict(train=_read(folder / f'seeds_{stage}.json'), held_out=held_out[stage])
        for stage in TITLES
    }
    # The configs as they were run, with all changes.
    config = Config.fromfile(folder / 'semples' / Path(SEMPLES).name)
    segmenter = Config.fromfile(folder / 'segmenter' / Path(SEGMENTER).name)
    results = dict(
        seeds=seeds,
        pseudo_masks=dict(train_mIoU=_mask_miou(folder / 'pseudo_masks', data_root)),
        segmenter=dict(held_out_mIoU=_read(folder / 'segmenter.json')['mIoU']),
        differs_from_paper=dict(
            semples=dict(config.differs_from_paper),
            segmenter=dict(segmenter.differs_from_paper),
        ),
        versions=dict(
            python=platform.python_version(), torch=torch.__version__, mmengine=mmengine.__version__
        ),
    )
    with atomic_write(folder / 'results.json') as file:
        json.dump(results, file, indent=2)
    _print_table(results, console)
    _draw_grid(folder, config, segmenter, segmenter_file(root, folder))
    console.print(f'figures: {folder / "results.json"}; pictures: {folder / "grid.png"}')
    return results


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding='utf-8'))


def _mask_miou(folder: Path, data_root: Path) -> float:
    """mIoU of the pseudo masks; a diagnostic that nothing is chosen by."""
    classes = len(OBJECTS) + 1
    confusion = np.zeros((classes, classes), np.int64)
    for path in sorted(folder.glob('*.png')):
        predicted, truth = (
            torch.from_numpy(read_mask(file))
            for file in (path, data_root / 'SegmentationClass' / path.name)
        )
        confusion += confusion_matrix(predicted, truth, classes, name=path.stem)
    return float(segmentation_scores(confusion).miou)


def _print_table(results: dict[str, Any], console: Console) -> None:
    table = Table(title='SemPLeS on the demo world, mIoU in %')
    for column in ('', 'training scenes', 'held-out scenes'):
        table.add_column(column, justify='left' if not column else 'right')
    for stage, title in TITLES.items():
        train, held_out = (results['seeds'][stage][s]['seed_mIoU'] for s in ('train', 'held_out'))
        table.add_row(f'seeds {title}', f'{train:.1f}', f'{held_out:.1f}')
    table.add_row('pseudo masks', f'{results["pseudo_masks"]["train_mIoU"]:.1f}', '')
    table.add_row('Segmenter', '', f'{results["segmenter"]["held_out_mIoU"]:.1f}')
    console.print(table)
    console.print(
        'Seed figures are at the best background score, which is found by looking at pixel '
        'labels: a diagnostic.',
        style='dim',
    )


def _load(config: Config, weights: Path) -> nn.Module:
    model = MODELS.build(config.model)
    load_checkpoint(model, str(weights), map_location='cpu', logger='silent')
    return model.eval()


@torch.no_grad()
def _predict(model: Any, items: list[dict[str, Any]]) -> list[Any]:
    return [model.test_step(pseudo_collate([item]))[0] for item in items]


def _draw_grid(folder: Path, config: Config, segmenter: Config, weights: Path) -> None:
    """Pictures of a few training scenes: the ones that have pseudo masks."""
    init_default_scope('mmseg')
    dataset = DATASETS.build(config.test_dataloader.dataset)
    chosen = np.linspace(0, len(dataset) - 1, ROWS).astype(int).tolist()
    names = [dataset.get_data_info(index)['img_id'] for index in chosen]
    cams = {}
    for stage, title in TITLES.items():
        samples = _predict(_load(config, stage_file(folder, stage)), [dataset[i] for i in chosen])
        cams[f'CAM {title}'] = [sample.cams.data.numpy() for sample in samples]
    segmenter.test_dataloader.dataset.ann_file = segmenter.train_dataloader.dataset.ann_file
    items = DATASETS.build(segmenter.test_dataloader.dataset)
    predicted = _predict(_load(segmenter, weights), [items[i] for i in chosen])
    images = [dataset[index]['inputs'][0].numpy()[::-1].transpose(1, 2, 0) for index in chosen]
    demo_grid(
        folder / 'grid.png',
        [np.ascontiguousarray(image) for image in images],
        [sample.gt_sem_seg.data[0].numpy() for sample in samples],
        cams,
        [read_mask(folder / 'pseudo_masks' / f'{name}.png') for name in names],
        [sample.pred_sem_seg.data[0].numpy() for sample in predicted],
        dataset.metainfo['palette'],
    )
