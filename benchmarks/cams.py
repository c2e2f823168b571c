"""Multi-scale CAMs of images of VOC's sizes, already loaded and resized."""

from __future__ import annotations

import torch
from mmseg.structures import SegDataSample
from torch import Tensor

from semples_mmseg.models import CAMSegmentor

from .models import build, draw_labels, semples_config
from .setting import Setting, Side
from .textbook.cams import multi_scale_cams

SCALES = (1.0, 1.2)
VOC_SIZES = ((375, 500), (375, 500), (375, 500), (333, 500), (500, 375))
"""Height and width of images, round and round."""
TOY_SIZES = ((50, 67), (64, 64), (50, 67))
GPU_BATCH = 16


def image_sizes(setting: Setting) -> list[tuple[int, int]]:
    """Heights and widths of the images of the paths that go through a data set."""
    sizes = TOY_SIZES if setting.toy else VOC_SIZES
    return [sizes[index % len(sizes)] for index in range(setting.images)]


class _CAMs(Side):
    """Images, their versions (3, h, w) by scale, labels (images, K) and a generator."""

    def __init__(self, setting: Setting) -> None:
        semples = semples_config(setting)
        config = dict(
            type='CAMSegmentor',
            class_names=semples.class_names,
            mask_generator=semples.mask_generator,
        )
        self.model: CAMSegmentor = build(config, setting)
        self.model.eval()
        self.sizes = image_sizes(setting)
        labels = torch.from_numpy(draw_labels(setting.images, self.model.num_classes))
        self.labels = labels.to(setting.device)
        torch.manual_seed(3)
        self.scales = [
            [
                torch.randn(3, round(height * s), round(width * s), device=setting.device)
                for s in SCALES
            ]
            for height, width in self.sizes
        ]


class OurCAMs(_CAMs):
    """The package's prediction: on a CPU image by image as the configs do, on a GPU in batches."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.batch = 1 if setting.device == 'cpu' else GPU_BATCH
        # Images of one size next to each other fall into one batch.
        self.order = sorted(range(setting.images), key=lambda index: self.sizes[index])

    def __call__(self) -> list[Tensor]:
        """CAMs (n, H, W) of each image."""
        found: dict[int, Tensor] = {}
        for start in range(0, len(self.order), self.batch):
            indices = self.order[start : start + self.batch]
            samples = []
            for index in indices:
                sample = SegDataSample(metainfo=dict(ori_shape=self.sizes[index]))
                sample.image_labels = self.labels[index]
                samples.append(sample)
            inputs = [[self.scales[index][s] for index in indices] for s in range(len(SCALES))]
            for index, sample in zip(indices, self.model.predict(inputs, samples), strict=True):
                found[index] = sample.cams.data
        return [found[index] for index in range(len(self.sizes))]


class TextbookCAMs(_CAMs):
    """One image, one scale, one flip at a time."""

    def __call__(self) -> list[Tensor]:
        """CAMs (n, H, W) of each image."""
        cases = zip(self.scales, self.labels, self.sizes, strict=True)
        return [multi_scale_cams(self.model.mask_generator, *case) for case in cases]
