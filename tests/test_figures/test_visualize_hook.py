"""Pictures during training: when, which, and that training stays as it is."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from semples_mmseg.figures import VisualizeHook

LABELS = {'a': ['cat'], 'b': [], 'c': ['cat', 'dog'], 'd': ['dog']}


@pytest.fixture
def make_config(make_voc_tree, tmp_path, tiny_semples):
    """Return a function that makes a staged run of three epochs on four photos."""
    root = make_voc_tree(LABELS)

    def make(name, *hooks):
        return Config(
            dict(
                default_scope='mmseg',
                experiment_name=name,
                work_dir=str(tmp_path / name),
                model=copy.deepcopy(tiny_semples),
                train_dataloader=dict(
                    batch_size=2,
                    num_workers=0,
                    sampler=dict(type='DefaultSampler', shuffle=True),
                    dataset=dict(
                        type='WeakVOCDataset',
                        data_root=str(root),
                        ann_file='ImageSets/Segmentation/train.txt',
                        metainfo=dict(classes=('background', 'cat', 'dog', 'tvmonitor')),
                        data_prefix=dict(img_path='JPEGImages'),
                        pipeline=[
                            dict(type='LoadCheckedImage'),
                            dict(type='Resize', scale=(64, 64)),
                            dict(type='RandomFlip', prob=0.5),
                            dict(type='PackWeakInputs'),
                        ],
                    ),
                ),
                train_cfg=dict(type='StagedTrainLoop', val_interval=100),
                optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.01)),
                custom_hooks=[dict(type='StageSwitchHook'), *hooks],
                default_hooks=dict(epoch_seed=dict(type='EpochSeedHook')),
                stages=[dict(name=name, epochs=1) for name in ('match', 'prompt', 'refine')],
                vis_backends=None,
                visualizer=dict(
                    type='SegLocalVisualizer',
                    name=name,
                    vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')],
                ),
                randomness=dict(seed=7),
                log_level='ERROR',
            )
        )

    return make


def test_backends_get_pictures_and_training_stays_the_same(make_config, tmp_path):
    hook = dict(type='VisualizeHook', interval=1, images=2)
    for name, hooks in (('with', [hook]), ('without', [])):
        Runner.from_cfg(make_config(name, *hooks)).train()
    pictures = {path.name: path for path in (tmp_path / 'with').rglob('vis_image/*.png')}
    assert sorted(pictures) == [
        *(f'cams_{step}.png' for step in (1, 3)),  # stage prompt leaves the generator alone
        *(f'prompts_{step}.png' for step in (2, 3)),
    ]
    assert Image.open(pictures['cams_3.png']).width == 4 + 3 * 164
    cams = [np.asarray(Image.open(pictures[f'cams_{step}.png']))[60:] for step in (1, 3)]
    assert not np.array_equal(*cams)
    (events,) = (tmp_path / 'with').rglob('events.out.tfevents*')
    found = EventAccumulator(str(events.parent), size_guidance=dict(images=0))
    found.Reload()
    assert [event.step for event in found.Images('prompts')] == [2, 3]
    states = [
        torch.load(tmp_path / name / 'refine.pth', weights_only=True)['state_dict']
        for name in ('with', 'without')
    ]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_photos_with_tags_are_spread_over_the_data(make_config):
    runner = Runner.from_cfg(make_config('spread'))
    hook = VisualizeHook(images=2)
    hook.before_train(runner)
    assert [(Path(photo.path).stem, photo.classes) for photo in hook._photos] == [
        ('a', (0,)),
        ('d', (1,)),
    ]
    with pytest.raises(ValueError, match='interval=0'):
        VisualizeHook(interval=0)
