"""Loading of training images of VOC's sizes: reading, decoding, augmenting; and other ways."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.datasets import PascalVOCDataset
from mmseg.registry import TRANSFORMS
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg, read_file
from torchvision.transforms import v2

from .data_set import DataSet
from .models import CONFIGS
from .setting import Setting, Side

BATCH = 8
SIDE = 224
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


class Rival(Side):
    """The same images by another way, one after another in this process.

    Args:
        setting: Sizes.
        make: Makes the function that loads and augments a file.
    """

    def __init__(self, setting: Setting, make: Callable[[], Callable[[str], Any]]) -> None:
        folder = _data_root(setting)
        names = (folder / 'images.txt').read_text(encoding='utf-8').split()
        self.files, self.load = [str(folder / f'{name}.jpg') for name in names], make()

    def __call__(self) -> list[Any]:
        """All images."""
        return [self.load(file) for file in self.files]


def _timm() -> Callable[[str], Any]:
    from timm.data import create_transform  # not needed by the other paths

    augment = create_transform(
        SIDE,
        is_training=True,
        auto_augment='rand-m9-mstd0.5-mmax9-inc1',  # above 9 Pillow 13 refuses to posterise
        interpolation='bicubic',
        re_prob=0.25,
        re_mode='pixel',
    )
    return lambda file: augment(Image.open(file).convert('RGB'))


def _torchvision() -> Callable[[str], Any]:
    bicubic = v2.InterpolationMode.BICUBIC
    augment = v2.Compose(
        [
            v2.RandomResizedCrop(SIDE, interpolation=bicubic, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandAugment(2, 9, interpolation=v2.InterpolationMode.BILINEAR),
            v2.RandomErasing(0.25),
        ]
    )
    return lambda file: augment(decode_jpeg(read_file(file), ImageReadMode.RGB))


def _opencv() -> Callable[[str], Any]:
    """OpenCV decodes, and its crops are resized without antialiasing; the rest is ours."""
    crop, *others = [TRANSFORMS.build(step) for step in _pipeline()[1:]]

    def load(file: str) -> Any:
        image = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_COLOR)
        top, left, height, width = crop.rand_crop_params(image)
        image = image[top : top + height, left : left + width]
        results = dict(img=cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))
        for transform in others:
            results = transform(results)
        return results

    return load


RIVALS = {
    'timm': partial(Rival, make=_timm),
    'torchvision': partial(Rival, make=_torchvision),
    'OpenCV, not antialiased': partial(Rival, make=_opencv),
}
"""Each in one process."""


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
