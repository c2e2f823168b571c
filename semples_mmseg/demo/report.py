"""The demo's results: a table, ``results.json`` and a picture."""

import platform
from pathlib import Path
from typing import Any

import mmengine
import numpy as np
import torch
from mmengine.config import Config
from rich.console import Console
from rich.table import Table

from ..engine.atomic_checkpoint_hook import METRICS
from ..masks.scores import confusion_matrix, segmentation_scores
from ..utils.files import read_json
from ..utils.io import write_json
from ..utils.label_png import read_mask
from .grid import draw_grid
from .steps import SEGMENTER, SEMPLES, TITLES, segmenter_file, stage_file
from .world import OBJECTS


def report_demo(folder: Path, data_root: Path, console: Console) -> dict[str, Any]:
    """Collect the demo's figures, print the table, write ``grid.png`` and ``results.json``.

    Args:
        folder: Folder of the steps' results.
        data_root: Folder of the demo world.
        console: Where the table is printed.

    Returns:
        Content of ``results.json``: mIoU in percent of the seeds by stage on training and held-out
        scenes, of the pseudo masks and of the Segmenter; changed settings; versions.
    """
    stages = {
        record['stage']: record['metrics'] for record in read_json(folder / 'semples/stages.json')
    }
    # The configs as they were run, with all options.
    semples = Config.fromfile(folder / 'semples' / Path(SEMPLES).name)
    segmenter = Config.fromfile(folder / 'segmenter' / Path(SEGMENTER).name)
    results = dict(
        seeds={
            stage: dict(train=read_json(folder / f'seeds_{stage}.json'), held_out=stages[stage])
            for stage in TITLES
        },
        pseudo_masks=dict(train_mIoU=_mask_miou(folder / 'pseudo_masks', data_root)),
        segmenter=dict(held_out_mIoU=read_json(segmenter_file(folder).with_name(METRICS))['mIoU']),
        differs_from_paper=dict(
            semples=dict(semples.differs_from_paper),
            segmenter=dict(segmenter.differs_from_paper),
        ),
        versions=dict(
            python=platform.python_version(), torch=torch.__version__, mmengine=mmengine.__version__
        ),
    )
    write_json(folder / 'results.json', results)
    _print_table(results, console)
    weights = {title: stage_file(folder, stage) for stage, title in TITLES.items()}
    draw_grid(folder, semples, weights, segmenter, segmenter_file(folder))
    console.print(f'figures: {folder / "results.json"}; pictures: {folder / "grid.png"}')
    return results


def _mask_miou(folder: Path, data_root: Path) -> float:
    """mIoU of the pseudo masks; a diagnostic that no setting depends on."""
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
        table.add_column(column, justify='right' if column else 'left')
    for stage, title in TITLES.items():
        seeds = results['seeds'][stage]
        row = [f'{seeds[split]["seed_mIoU"]:.1f}' for split in ('train', 'held_out')]
        table.add_row(f'seeds {title}', *row)
    table.add_row('pseudo masks', f'{results["pseudo_masks"]["train_mIoU"]:.1f}', '')
    table.add_row('Segmenter', '', f'{results["segmenter"]["held_out_mIoU"]:.1f}')
    console.print(table)
    console.print(
        'Seeds are cut at the background score with the best mIoU, which needs pixel labels: '
        'a diagnostic.',
        style='dim',
    )
