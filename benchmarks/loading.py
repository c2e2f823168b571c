"""Loading of training images of VOC's sizes: reading, decoding, augmenting."""

from __future__ import annotations

import json
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.datasets import PascalVOCDataset
from PIL import Image

from .data_set import DataSet
from .models import CONFIGS
from .setting import Setting, Side

BATCH = 8
QUALITY = 90
"""Of the JPEGs: their noise then takes about as many bytes as the detail of VOC's photographs."""
CLASSES = PascalVOCDataset.METAINFO['classes'][1:]


class Loading(Side):
    """The pipeline of stages (a) and (c) over a data set, in batches; 0 workers: in process."""

    def __init__(self, setting: Setting, workers: int | None = None) -> None:
        self.workers = setting.processes if workers is None else workers
        self.loader = Runner.build_dataloader(
            dict(
                batch_size=BATCH,
                num_workers=self.workers,
                persistent_workers=self.workers > 0,
                collate_fn=dict(type='pseudo_collate'),
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dict(
                    type='WeakLabelDataset',
                    class_names=CLASSES,
                    data_root=str(_data_root(setting)),
                    ann_file='images.txt',
                    label_file='labels.json',
                    pipeline=_pipeline(),
                ),
            ),
            seed=0,
        )

    def prepare(self) -> None:
        """Start the workers: an epoch pays for that once."""
        if self.workers and self.loader._iterator is None:
            self()

    def __call__(self) -> list[dict]:
        """All batches."""
        return list(self.loader)

    def close(self) -> None:
        """End the workers."""
        del self.loader


def _pipeline() -> list[dict]:
    init_default_scope('mmseg')
    config = Config.fromfile(CONFIGS / '_base_' / 'datasets' / 'weak_pipelines.py')
    return config.to_dict()['stage_match_pipeline']


def _data_root(setting: Setting) -> Path:
    """JPEGs with a split list and labels, written once."""
    data = DataSet(setting)
    listing = data.folder / 'images.txt'
    if not listing.exists():
        labels = {}
        for index, name in enumerate(data.names):
            Image.open(data.file('image', index)).save(data.folder / f'{name}.jpg', quality=QUALITY)
            labels[name] = [CLASSES[k] for k in data.present[index]]
        (data.folder / 'labels.json').write_text(json.dumps(labels), encoding='utf-8')
        listing.write_text('\n'.join(data.names), encoding='utf-8')
    return data.folder
