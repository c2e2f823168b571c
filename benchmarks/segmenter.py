"""A training step of the Segmenter: gradient clipping loss against plain cross entropy."""

from __future__ import annotations

import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

from .models import CONFIGS, TOY_VIT, build
from .setting import Setting
from .steps import Step

CROSS_ENTROPY = dict(type='CrossEntropyLoss')
PATCHWORK = 32
"""Side of the squares of one label in the random label maps."""


class SegmenterStep(Step):
    """A step of the model in ``configs/segmenter`` with SGD.

    Args:
        setting: Sizes.
        loss: Config of the loss in the place of the gradient clipping loss.
    """

    def __init__(self, setting: Setting, loss: dict | None = None) -> None:
        config = Config.fromfile(CONFIGS / '_base_' / 'models' / 'segmenter_deit-s.py').model
        config.class_names = 'WeakVOCDataset'
        config.backbone.init_cfg = None
        side = 480
        if setting.toy:
            side, width = 64, TOY_VIT['embed_dims']
            config.backbone.update(arch=TOY_VIT, img_size=side)
            config.decode_head.update(in_channels=width, channels=width, embed_dims=width)
            config.decode_head.num_heads = TOY_VIT['num_heads']
            config.data_preprocessor.size = (side, side)
        if loss is not None:
            config.decode_head.loss_decode = loss
        model = build(config, setting)
        model.train()
        trains = [name for name, p in model.named_parameters() if p.requires_grad]
        optimizer = torch.optim.SGD(model.parameters(), 1e-4, momentum=0.9, nesterov=True)
        super().__init__(model, trains, optimizer)
        self.setting = setting
        torch.manual_seed(3)
        self.images = torch.randn(setting.batch, 3, side, side, device=setting.device)
        squares = side // PATCHWORK
        shape = (setting.batch, squares, squares)
        coarse = torch.randint(model.num_classes, shape)
        self.samples = [self._sample(label) for label in coarse]

    def _sample(self, coarse: Tensor) -> SegDataSample:
        label = coarse.repeat_interleave(PATCHWORK, 0).repeat_interleave(PATCHWORK, 1)
        sample = SegDataSample()
        sample.gt_sem_seg = PixelData(data=label[None].to(self.setting.device))
        return sample

    def forward(self) -> tuple[dict[str, Tensor], object]:
        with self.setting.autocast(torch.bfloat16):
            losses = self.model.loss(self.images, self.samples)
        return dict(loss=self.model.parse_losses(losses)[0]), None
