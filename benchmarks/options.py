"""Options that are off by default, against the default."""

from __future__ import annotations

import torch
from torch import Tensor

from semples_mmseg.models import CLIPImageHead

from .models import build, clip_file, clip_model, semples_config
from .setting import Setting, Side
from .steps import LEARNING_RATE, WEIGHT_DECAY

MASKED_IMAGES = 3
"""Per image: foreground and background of 1.5 pairs."""


class HalfEncoder(Side):
    """CLIP's image encoder in bfloat16, forward and backward.

    Args:
        setting: How many images.
        dtype: Of ``CLIPImageHead``; None has its weights rounded in every call, by autocast.
    """

    def __init__(self, setting: Setting, dtype: str | None) -> None:
        clip = dict(model=clip_model(setting), pretrained=str(clip_file(setting)), quick_gelu=True)
        self.head = CLIPImageHead(clip, dtype=dtype).to(setting.device)
        torch.manual_seed(3)
        shape = (MASKED_IMAGES * setting.batch, 3, *self.head.input_size)
        self.images = torch.randn(shape, device=setting.device, requires_grad=True)

    def __call__(self) -> tuple[Tensor, Tensor]:
        """Features, and the gradient of the sum of their first channel."""
        with torch.autocast(self.images.device.type, torch.bfloat16):
            features = self.head(self.images)
        return features, torch.autograd.grad(features[:, 0].sum(), self.images)[0]


class AdamWStep(Side):
    """Steps of AdamW over all weights of the mask generator, as in stage 0.

    Args:
        setting: Size and device.
        fused: As of ``torch.optim.AdamW``.
    """

    def __init__(self, setting: Setting, fused: bool | None) -> None:
        self.generator = build(semples_config(setting), setting).mask_generator
        self.generator.requires_grad_(True)
        for parameter in self.generator.parameters():
            parameter.grad = torch.randn_like(parameter)
        self.optimizer = torch.optim.AdamW(
            self.generator.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=fused
        )

    def __call__(self) -> None:
        """Take ten steps."""
        for _ in range(10):
            self.optimizer.step()
