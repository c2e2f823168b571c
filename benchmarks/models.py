"""Models with random weights and batches of random images; the same ones for each side."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from safetensors.torch import save_file
from torch import Tensor, nn

import semples_mmseg  # noqa: F401
from semples_mmseg.models import build_clip
from semples_mmseg.utils.classes import read_classes

from .setting import Setting

CONFIGS = Path(__file__).parents[1] / 'configs'
TOY_CLIP = dict(
    embed_dim=16,
    vision_cfg=dict(image_size=64, layers=2, width=32, patch_size=16, head_width=16),
    text_cfg=dict(context_length=77, vocab_size=49408, width=24, heads=2, layers=2),
)
TOY_VIT = dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)
LABELS_PER_IMAGE = {1: 0.62, 2: 0.28, 3: 0.08, 4: 0.02}
"""Share of the images with so many classes: 1.5 in the mean, as in VOC."""


def semples_config(setting: Setting) -> ConfigDict:
    """The model of VOC's configs without files of weights; CLIP's are random, but in a file."""
    config = Config.fromfile(CONFIGS / '_base_' / 'models' / 'semples_deit-s.py').model
    config.class_names = 'WeakVOCDataset'
    config.mask_generator.init_cfg = None
    if setting.toy:
        config.mask_generator.backbone.update(arch=TOY_VIT, img_size=64)
        config.mask_generator.fusion.update(reduction=2, feature_reduction=4)
        config.class_names = list(read_classes(config.class_names).names[:4])
        config.prompt_learner.num_tokens = 4
    # Stochastic depth draws random numbers, which would make the two sides differ.
    config.mask_generator.backbone.drop_path_rate = 0.0
    config.clip = dict(model=clip_model(setting), pretrained=str(clip_file(setting)))
    config.clip.quick_gelu = True
    return config


def clip_model(setting: Setting) -> str | dict:
    """CLIP's name or open_clip config."""
    return TOY_CLIP if setting.toy else 'ViT-B-32'


def clip_file(setting: Setting) -> Path:
    """A CLIP with random weights, written once.

    Its features are made to have positive cosines, as features of a trained CLIP have: at or below
    zero the losses are clamped and give no gradient.
    """
    path = Path(setting.folder) / 'clip.safetensors'
    if not path.exists():
        torch.manual_seed(0)
        clip = build_clip(clip_model(setting), None, quick_gelu=True)
        with torch.no_grad():
            for norm, projection in (
                (clip.visual.ln_post, clip.visual.proj),
                (clip.ln_final, clip.text_projection),
            ):
                norm.bias.fill_(0.5)
                projection.abs_()
        save_file({key: value.contiguous() for key, value in clip.state_dict().items()}, path)
    return path


def build(config: ConfigDict, setting: Setting) -> nn.Module:
    """Build a model with random weights that depend on its config alone."""
    init_default_scope('mmseg')
    torch.manual_seed(1)
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)  # MMEngine tells of each parameter how it was initialised
    try:
        model = MODELS.build(config)
        model.init_weights()
    finally:
        logger.setLevel(level)
    return model.to(setting.device)


def draw_labels(number: int, num_classes: int, classes: int | None = None) -> np.ndarray:
    """Multi-hot labels (number, K), uint8, of so many ``classes`` an image, or as many as drawn."""
    rng = np.random.default_rng(2)
    labels = np.zeros((number, num_classes), np.uint8)
    for row in labels:
        drawn = rng.choice(list(LABELS_PER_IMAGE), p=list(LABELS_PER_IMAGE.values()))
        row[rng.choice(num_classes, min(classes or drawn, num_classes), replace=False)] = 1
    return labels


def draw_batch(
    setting: Setting, num_classes: int, side: int
) -> tuple[Tensor, Tensor, list[SegDataSample]]:
    """Random images (B, 3, side, side), labels (B, K), and the labels once more as data samples."""
    torch.manual_seed(3)
    images = torch.randn(setting.batch, 3, side, side, device=setting.device)
    labels = torch.from_numpy(draw_labels(setting.batch, num_classes, setting.classes))
    labels = labels.to(setting.device)
    samples = []
    for row in labels:
        sample = SegDataSample()
        sample.image_labels = row
        samples.append(sample)
    return images, labels, samples
