"""Pictures during training: when, which, and that training stays as it is."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from PIL import Image
from processes import draw_images, make_config
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from semples_mmseg.figures import VisualizeHook

BACKENDS = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]


@pytest.fixture
def make_run(tmp_path):
    """Return a function that makes a staged run of three epochs on four photos."""
    draw_images(tmp_path / 'data', 4, [[1], [], [1, 2], [2]])
    stages = [dict(name=name, epochs=1, batch_size=2) for name in ('match', 'prompt', 'refine')]

    def make(name, *hooks):
        names = dict(work_dir=str(tmp_path / name), experiment_name=name)
        config = make_config(tmp_path / 'data', stages, hooks, **names)
        config.optim_wrapper.optimizer.lr = 0.01
        config.train_dataloader.dataset.pipeline.insert(2, dict(type='RandomFlip', prob=0.5))
        config.visualizer = dict(type='SegLocalVisualizer', name=name, vis_backends=BACKENDS)
        return Runner.from_cfg(config)

    return make


def test_backends_get_pictures_and_training_stays_the_same(make_run, tmp_path):
    hook = dict(type='VisualizeHook', interval=1, images=2)
    for name, hooks in (('with', [hook]), ('without', [])):
        make_run(name, *hooks).train()
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


def test_photos_with_tags_are_spread_over_the_data(make_run):
    runner = make_run('spread')
    hook = VisualizeHook(images=2)
    hook.before_train(runner)
    assert [(Path(photo.path).stem, photo.classes) for photo in hook._photos] == [
        ('img00', (0,)),
        ('img03', (1,)),
    ]
    with pytest.raises(ValueError, match='interval=0'):
        VisualizeHook(interval=0)
