"""The demo's picture: results of every step on some training scenes.

python -m semples_mmseg.demo.grid work_dirs/demo
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from mmseg.registry import DATASETS, MODELS
from PIL import Image

from ..figures import colour_label, overlay_cam, picture_grid
from ..utils.io import atomic_write
from ..utils.label_png import read_mask

ROWS = 8
STAGES = dict(classify='after stage 0', match='after (a)', refine='after (c)')


def draw_grid(folder: Path) -> None:
    """Write ``grid.png``: image, mask, CAMs of the stages, pseudo mask, Segmenter's prediction.

    ``folder`` is that of a run of ``configs/runs/demo.py``, with the configs that were run.
    """
    semples = Config.fromfile(folder / 'semples' / 'demo_refine.py')
    segmenter = Config.fromfile(folder / 'segmenter' / 'segmenter_demo.py')
    init_default_scope('mmseg')
    dataset = DATASETS.build(semples.test_dataloader.dataset)
    palette = dataset.metainfo['palette']
    chosen = np.linspace(0, len(dataset) - 1, ROWS).astype(int).tolist()
    items = [dataset[index] for index in chosen]
    images = [item['inputs'][0].permute(1, 2, 0).numpy()[..., ::-1] for item in items]
    masks = [item['data_samples'].gt_sem_seg.data[0].numpy() for item in items]
    columns = {'image': images, 'mask': [colour_label(mask, palette) for mask in masks]}
    for stage, title in STAGES.items():
        found = _predict(semples, folder / 'semples' / f'{stage}.pth', items)
        cams = [sample.cams.data.numpy() for sample in found]
        columns[f'CAM {title}'] = [overlay_cam(*pair) for pair in zip(images, cams, strict=True)]
    names = [dataset.get_data_info(index)['img_id'] for index in chosen]
    masks = [read_mask(folder / 'pseudo_masks' / f'{name}.png') for name in names]
    columns['pseudo mask'] = [colour_label(mask, palette) for mask in masks]
    # The Segmenter's test set is the held-out scenes; the pseudo masks are of the training scenes.
    segmenter.test_dataloader.dataset.ann_file = segmenter.train_dataloader.dataset.ann_file
    dataset = DATASETS.build(segmenter.test_dataloader.dataset)
    items = [dataset[index] for index in chosen]
    found = _predict(segmenter, folder / 'segmenter' / 'weights.pth', items)
    masks = [sample.pred_sem_seg.data[0].numpy() for sample in found]
    columns['Segmenter'] = [colour_label(mask, palette) for mask in masks]
    with atomic_write(folder / 'grid.png', 'wb') as file:
        Image.fromarray(picture_grid(columns)).save(file, format='PNG')


@torch.no_grad()
def _predict(config: Config, weights: Path, items: list[dict[str, Any]]) -> list[Any]:
    model: Any = MODELS.build(config.model)
    load_checkpoint(model, str(weights), map_location='cpu', logger='silent')
    model.eval()
    return [model.test_step(pseudo_collate([item]))[0] for item in items]


if __name__ == '__main__':
    draw_grid(Path(sys.argv[1]))
