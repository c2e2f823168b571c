"""Checkpoints appear whole, and there are enough of them at every moment."""

import copy
import json
import os
from pathlib import Path
from unittest import mock

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from semples_mmseg.utils.io import atomic_write, remove_leftovers
from semples_mmseg.weights.latest_checkpoint import latest_whole_checkpoint
from semples_mmseg.weights.reading import find_damage


class Line(BaseModel):
    """One number."""

    def __init__(self):
        super().__init__()
        self.slope = nn.Linear(1, 1)

    def forward(self, x, mode):
        return dict(loss=self.slope(x).sum()) if mode == 'loss' else self.slope(x)


class Slope(BaseMetric):
    """The mean output on the validation data."""

    def process(self, data_batch, data_samples):
        self.results += [float(y) for y in data_samples]

    def compute_metrics(self, results):
        return dict(height=sum(results) / len(results))


def run(
    folder, epochs, hooks=(), resume_from=None, schedule=None, lr=0.1, validates=False, **checkpoint
):
    loader = dict(
        dataset=[torch.ones(1)] * 2,
        batch_size=1,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=lambda batch: dict(x=torch.stack(batch)),
    )
    validation = dict(val_dataloader=loader, val_cfg=dict(), val_evaluator=Evaluator(Slope()))
    checkpoint = dict(type='AtomicCheckpointHook', **dict(dict(interval=1), **checkpoint))
    training = dict(optim_wrapper=dict(optimizer=dict(type='SGD', lr=lr)), param_scheduler=schedule)
    runner = Runner(
        cfg=Config(copy.deepcopy(training)),
        model=Line(),
        work_dir=str(folder),
        train_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        **training,
        **(validation if validates else {}),
        default_hooks=dict(checkpoint=checkpoint),
        custom_hooks=list(hooks),
        load_from=resume_from,
        resume=resume_from is not None,
        default_scope='mmseg',
        log_level='ERROR',
        experiment_name=f'{folder.name}{epochs}{resume_from is not None}',
    )
    runner.train()


def names(folder):
    """Files, but for the config that MMEngine writes down."""
    return sorted(p.name for p in folder.iterdir() if p.is_file() and p.suffix != '.py')


def test_two_whole_checkpoints_at_every_moment(tmp_path):
    """Looked at before and after each change of a name in the folder."""
    seen = []

    def look(change):
        def changed(*arguments):
            kept = [path for path in tmp_path.glob('*.pth') if not find_damage(path)]
            seen.append(len(kept))
            assert len(kept) == len(list(tmp_path.glob('*.pth')))
            change(*arguments)

        return changed

    with (
        mock.patch.object(os, 'replace', look(os.replace)),
        mock.patch.object(os, 'remove', look(os.remove)),
    ):
        run(tmp_path, 5, max_keep_ckpts=2)
    # three are there until the oldest is removed, before the next is written
    assert seen == [0, 1, 2, *[3, 2] * 2, 3]  # the last one for the weights alone
    files = [f'epoch_{epoch}.pth' for epoch in (3, 4, 5)]
    assert names(tmp_path) == [*files, 'last_checkpoint', 'weights.pth']
    assert latest_whole_checkpoint(tmp_path) == str(tmp_path / 'epoch_5.pth')


class Full(Exception):
    pass


def test_a_failed_write_leaves_whole_checkpoints_and_what_it_leaves_behind_goes(tmp_path):
    run(tmp_path, 3, max_keep_ckpts=2)
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    resumed = dict(max_keep_ckpts=2, resume_from=str(tmp_path / 'epoch_3.pth'))
    with mock.patch.object(os, 'fsync', side_effect=Full), pytest.raises(Full):
        run(tmp_path, 4, **resumed)
    del before['epoch_1.pth']
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before
    for name in ('.epoch_4.pth.ab_d3f6x.tmp', '.stages.json.00000000.tmp'):
        (tmp_path / name).write_text('part')
    run(tmp_path, 4, **resumed)
    assert names(tmp_path) == sorted({*before, 'epoch_4.pth'})


def test_checkpoints_elsewhere_and_all_of_them(tmp_path):
    run(tmp_path / 'run', 2, out_dir=str(tmp_path / 'out'))
    assert names(tmp_path / 'out/run') == ['epoch_1.pth', 'epoch_2.pth']
    last = latest_whole_checkpoint(tmp_path / 'run', str(tmp_path / 'out'))
    assert Path(last) == tmp_path / 'out/run/epoch_2.pth'


def test_settings_are_checked_before_the_first_step(tmp_path):
    with pytest.raises(ValueError, match='checkpoint within an epoch .by_epoch=False.'):
        run(tmp_path, 1, by_epoch=False)
    with pytest.raises(ValueError, match=r"save_best=\['mIoU'\]: .* gives height"):
        run(tmp_path, 1, validates=True, save_best=['mIoU', 'height'], rule='greater')
    assert not list(tmp_path.glob('*.pth'))
    run(tmp_path, 2, validates=True, save_best='height', rule='greater')
    assert list(tmp_path.glob('best_height_*.pth'))


def test_leftovers_are_told_from_other_files(tmp_path):
    (tmp_path / 'deep').mkdir()
    kept = ['.hidden', '.x.tmp', 'a.tmp', '.a.png.12345678.tmp.bak', '.a.png.123456789.tmp']
    for name in kept:
        (tmp_path / 'deep' / name).touch()
    context = atomic_write(tmp_path / 'deep' / 'a.png', 'wb')
    context.__enter__()
    assert remove_leftovers(tmp_path) == 0
    assert remove_leftovers(tmp_path, recursive=True) == 1
    assert names(tmp_path / 'deep') == sorted(kept)
    assert remove_leftovers(tmp_path / 'gone') == 0


def test_the_metrics_of_the_weights_are_left_beside_them(tmp_path):
    run(tmp_path, 3, validates=True)
    saved = torch.load(tmp_path / 'weights.pth', weights_only=True)
    assert saved.keys() == {'meta', 'state_dict'}
    state = saved['state_dict']
    height = state['slope.weight'].item() + state['slope.bias'].item()
    path = tmp_path / 'metrics.json'
    assert json.loads(path.read_text()) == dict(height=pytest.approx(height, rel=1e-5))
    first = path.read_text()
    # killed between the last checkpoint and the end of its validation
    path.unlink()
    run(tmp_path, 3, validates=True, resume_from=str(tmp_path / 'epoch_3.pth'))
    assert path.read_text() == first
    # weights of a later run that measures nothing
    run(tmp_path, 4, resume_from=str(tmp_path / 'epoch_3.pth'))
    assert not path.exists()


def cosine(end):
    return dict(type='CosineAnnealingLR', T_max=end, end=end)


def test_settings_that_a_checkpoint_restores_cannot_change(tmp_path):
    run(tmp_path, 3, schedule=cosine(3))
    last = str(tmp_path / 'epoch_3.pth')
    for words, epochs, lr in (
        ('train_cfg.max_epochs 3 -> 6.*param_scheduler.end', 6, 0.1),
        ('optim_wrapper.optimizer.lr 0.1 -> 0.2', 3, 0.2),
    ):
        with pytest.raises(ValueError, match=f'{words}.*load_from={last}'):
            run(tmp_path, epochs, schedule=cosine(epochs), lr=lr, resume_from=last)
    with pytest.raises(ValueError, match='weights.pth cannot be resumed'):
        run(tmp_path, 3, schedule=cosine(3), resume_from=str(tmp_path / 'weights.pth'))


def test_one_cycle_is_resumed(tmp_path):
    schedule = dict(type='OneCycleLR', eta_max=0.1, total_steps=4)
    run(tmp_path, 4, schedule=schedule, max_keep_ckpts=3)
    torch.load(tmp_path / 'epoch_2.pth', weights_only=True)
    run(tmp_path, 4, schedule=schedule, resume_from=str(tmp_path / 'epoch_2.pth'))
