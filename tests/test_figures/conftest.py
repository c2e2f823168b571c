"""A small run on photos without a data set."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from PIL import Image


@pytest.fixture
def tiny_run(tmp_path, tiny_semples):
    """A config, two checkpoints and two photos, one with a mask; no data set."""
    pipeline = [dict(type='LoadCheckedImage'), dict(type='PackWeakInputs', scales=(1.0, 1.5))]
    data = dict(
        type='WeakLabelDataset',
        data_root=str(tmp_path / 'nowhere'),
        ann_file='train.txt',
        class_names=tiny_semples['class_names'],
        pipeline=[pipeline[0], dict(type='LoadCheckedAnnotations'), pipeline[1]],
        data_prefix=dict(seg_map_path='masks'),
        test_mode=True,
    )
    Config(dict(model=tiny_semples, test_dataloader=dict(dataset=data))).dump(tmp_path / 'cfg.py')
    for name in ('match', 'refine'):
        state = MODELS.build(tiny_semples).state_dict()
        del state['clip_fingerprint']  # every build has another random CLIP
        state['prompt_learner.prompts'].mul_(3)
        torch.save(dict(state_dict=state, meta={}), tmp_path / f'{name}.pth')
    rng = np.random.default_rng(0)
    for name in ('a', 'b'):
        pixels = rng.integers(0, 256, (48, 64, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f'{name}.png')
    return tmp_path
