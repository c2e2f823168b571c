"""Loading of training images of VOC's sizes: reading, decoding, augmenting."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.datasets import PascalVOCDataset
from PIL import Image

from semples_mmseg.datasets.pipelines import augmented_on_device
from semples_mmseg.models.augmentation import augment

from .data_set import DataSet
from .models import CONFIGS
from .setting import Setting, Side

BATCH = 8
QUALITY = 90
"""Of the JPEGs: their noise then takes about as many bytes as the detail of VOC's photographs."""
CLASSES = PascalVOCDataset.METAINFO['classes'][1:]


class Loading(Side):
    """The pipeline of stages (a) and (c) over a data set, in batches.

    Args:
        setting: How many images, and where the files go.
        workers: Processes that load; 0 for this one.
        on_device: Whether augmentation is left to the device; it is not part of the call then.
    """

    def __init__(
        self, setting: Setting, workers: int | None = None, on_device: bool = False
    ) -> None:
        pipeline = _pipeline()
        self.workers = setting.processes if workers is None else workers
        self.loader = Runner.build_dataloader(
            dict(
                batch_size=BATCH,
                num_workers=self.workers,
                persistent_workers=self.workers > 0,
                collate_fn=dict(type='default_collate' if on_device else 'pseudo_collate'),
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dict(
                    type='WeakLabelDataset',
                    class_names=CLASSES,
                    data_root=str(_data_root(setting)),
                    ann_file='images.txt',
                    label_file='labels.json',
                    pipeline=augmented_on_device(pipeline) if on_device else pipeline,
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


class LargePhoto(Side):
    """Random crops of a photo of 12 megapixels.

    Args:
        setting: How many crops, and where the file goes.
        at_once: Whether the crop is chosen before the photo is decoded.
    """

    def __init__(self, setting: Setting, at_once: bool) -> None:
        pipeline = augmented_on_device(_pipeline())[1:2] if at_once else _pipeline()[:2]
        self.load = Compose(pipeline)
        self.path = Path(setting.folder) / 'large.jpg'
        self.number = setting.images
        if not self.path.exists():
            small = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
            large = Image.fromarray(small).resize((4032, 3024), Image.Resampling.BICUBIC)
            large.save(self.path, quality=QUALITY)

    def __call__(self) -> list[np.ndarray]:
        """The crops, drawn alike in each call."""
        np.random.seed(0)
        return [self.load(dict(img_path=str(self.path)))['img'] for _ in range(self.number)]


class Augmentation(Side):
    """Flips, RandAugment and erasing of one batch that has been loaded.

    Args:
        setting: How many images.
        batched: Whether they are computed in batches, else one by one with MMPretrain.
    """

    def __init__(self, setting: Setting, batched: bool) -> None:
        *steps, _ = _pipeline()[2:]
        self.batched, side = batched, 64 if setting.toy else 224
        self.transforms = Compose(
            [dict(type='DeferAugmentation', transforms=steps)] if batched else steps
        )
        torch.manual_seed(3)
        shape = (setting.batch, 3, side, side)
        self.images = torch.randint(0, 256, shape, dtype=torch.uint8, device=setting.device)
        self.arrays = self.images.permute(0, 2, 3, 1).contiguous().cpu().numpy()

    def __call__(self) -> np.ndarray | torch.Tensor:
        """The images, drawn alike in each call."""
        np.random.seed(0)
        results = [self.transforms(dict(img=array.copy())) for array in self.arrays]
        if self.batched:
            return augment(self.images.clone(), [r['augmentation'] for r in results])
        return np.stack([result['img'] for result in results])


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
