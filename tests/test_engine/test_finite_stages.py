"""Steps that are not finite in a staged run, by one process and by two that have to agree."""

import json
import os
from pathlib import Path
from unittest import mock

import pytest
import torch
from mmengine.dist import get_rank
from processes import draw_images, launch, tool, weights, write_config
from run_tool import run_tool

from semples_mmseg.engine.finite_step_hook import FiniteStepHook
from semples_mmseg.models import SemPLeS

# Two steps an epoch.
STAGES = [
    dict(name='match', epochs=2, batch_size=4),
    dict(name='prompt', epochs=2, batch_size=4),
    dict(name='refine', epochs=1, batch_size=4),
]
GUARDED = dict(default_hooks=dict(finite_steps=dict(type='FiniteStepHook', patience=3)))


@pytest.fixture
def config(tmp_path):
    """A staged run on eight images."""
    draw_images(tmp_path / 'data', 8)
    return write_config(tmp_path, tmp_path / 'data', STAGES, **GUARDED)


def spoiling(steps, ranks=(0,)):
    """Infinite losses of finite gradients at some steps of some processes."""
    original, count = SemPLeS.loss, iter(range(1000))

    def loss(self, inputs, data_samples):
        losses = original(self, inputs, data_samples)
        spoil = next(count) in steps and get_rank() in ranks
        return {name: value + torch.inf if spoil else value for name, value in losses.items()}

    return mock.patch.object(SemPLeS, 'loss', loss)


def test_the_run_goes_on_through_all_stages(config, tmp_path, capsys):
    with spoiling({1, 4, 8}):
        run_tool('train.py', config, '--work-dir', tmp_path / 'run')
    text = capsys.readouterr().out
    for where in ('step 2 (stage match)', 'step 5 (stage prompt)', 'step 9 (stage refine)'):
        assert f'{where} is left out' in text
    for path in (tmp_path / 'run').glob('[mpr]*.pth'):
        assert all(value.isfinite().all() for value in weights(path).values())


def train_spoilt(config):
    """Train with losses of the second process spoilt; write down what each process skipped."""
    after, skipped = FiniteStepHook.after_train_iter, []

    def record(hook, *arguments, **options):
        after(hook, *arguments, **options)
        skipped.append(hook._skipped)

    with spoiling({1}, ranks=(1,)), mock.patch.object(FiniteStepHook, 'after_train_iter', record):
        tool('train.py', config)
    rank = os.environ['RANK']
    Path(config).with_name(f'skipped{rank}.json').write_text(json.dumps(skipped))


def test_processes_agree(config, tmp_path):
    config = write_config(tmp_path, tmp_path / 'data', STAGES[:1], **GUARDED)
    launch(2, train_spoilt, config)
    seen = [json.loads(config.with_name(f'skipped{rank}.json').read_text()) for rank in (0, 1)]
    assert seen == [[False, True, False, False]] * 2
