"""Tiny configs that build in milliseconds."""

import copy
from typing import Any

import pytest
import torch
from mmseg.structures import SegDataSample

import semples_mmseg  # noqa: F401

TINY_CLIP = dict(
    embed_dim=16,
    vision_cfg=dict(image_size=32, layers=2, width=32, patch_size=16, head_width=16),
    text_cfg=dict(context_length=77, vocab_size=49408, width=24, heads=2, layers=2),
)
TINY_GENERATOR = dict(
    type='WeakTrGenerator',
    num_classes=3,
    backbone=dict(
        type='MultiTokenViT',
        arch=dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48),
        img_size=64,
        patch_size=16,
        drop_path_rate=0.0,
    ),
    fusion=dict(reduction=2, feature_reduction=4, pooling='max'),
)
TINY_SEMPLES = dict(
    type='SemPLeS',
    mask_generator=TINY_GENERATOR,
    clip=dict(model=TINY_CLIP, pretrained=None),
    text_head=dict(class_names=['cat', 'dog', 'tv monitor']),
    prompt_learner=dict(num_tokens=4),
    data_preprocessor=dict(
        type='CAMDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
    ),
)


@pytest.fixture
def tiny_clip() -> dict[str, Any]:
    """An open_clip config of a CLIP with a small vision transformer."""
    return copy.deepcopy(TINY_CLIP)


@pytest.fixture
def tiny_generator() -> dict[str, Any]:
    """Config of a WeakTr generator for three classes."""
    return copy.deepcopy(TINY_GENERATOR)


@pytest.fixture
def tiny_semples() -> dict[str, Any]:
    """Config of a whole SemPLeS segmentor for three classes."""
    return copy.deepcopy(TINY_SEMPLES)


@pytest.fixture
def make_samples():
    """Return a function from rows of labels to data samples."""

    def make(*labels: list[int], size: tuple[int, int] = (64, 64)) -> list[SegDataSample]:
        samples = []
        for row in labels:
            sample = SegDataSample(metainfo=dict(ori_shape=size))
            sample.image_labels = torch.tensor(row, dtype=torch.float32)
            samples.append(sample)
        return samples

    return make
