"""Stages in MMEngine's Runner: what trains, starts again, is saved, resumed, refused."""

import copy
import itertools
import json

import processes
import pytest
import torch
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from processes import draw_images

from semples_mmseg.cli.launch import choose_stage, choose_start
from semples_mmseg.engine import (
    AtomicCheckpointHook,
    EpochSeedHook,
    FiniteStepHook,
    StageSwitchHook,
)

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='mmpretrain.RandomResizedCrop', scale=64),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackWeakInputs'),
]
STAGES = [
    dict(name='match', epochs=2),
    dict(name='prompt', epochs=2, batch_size=4, optim_wrapper=dict(optimizer=dict(lr=0.2))),
    dict(name='refine', epochs=2, restore=dict(mask_generator='match')),
]
NUMBERS = itertools.count()
SHORT = [dict(stage, epochs=1) for stage in STAGES]
STILL = dict(optimizer=dict(lr=0.0, weight_decay=0.0))
HEAD_AND_FUSION = {'mask_generator.head', 'mask_generator.fusion'}


@pytest.fixture
def make_config(tmp_path):
    """Return a function that makes the config of a staged run on eight random images."""
    draw_images(tmp_path / 'data', 8, [[1], [2], [1, 2], []] * 2)

    def make(work_dir='run', stages=STAGES, **changes):
        config = processes.make_config(tmp_path / 'data', stages, work_dir=str(tmp_path / work_dir))
        config.val_dataloader, config.val_cfg = (
            config.pop('test_dataloader'),
            config.pop('test_cfg'),
        )
        config.val_evaluator = config.pop('test_evaluator')[0]
        config.train_dataloader.dataset.pipeline = PIPELINE
        config.train_dataloader.batch_size = 2
        config.train_cfg.val_interval, config.optim_wrapper.optimizer.lr = 100, 0.01
        config.default_hooks.checkpoint.type = 'AtomicCheckpointHook'
        config.model.stage = None
        config.merge_from_dict(changes)
        return config

    return make


def train(config):
    return train_with(config, lambda *_, **__: None)


def weights(path):
    return torch.load(path, map_location='cpu', weights_only=True)['state_dict']


def changed(before, after):
    return {
        '.'.join(key.split('.')[:2]) for key in before if not torch.equal(before[key], after[key])
    }


def no_validation(config):
    config.val_dataloader = config.val_cfg = config.val_evaluator = None
    return config


class Killed(Exception):
    """Stands for the end of a run in the middle."""


def train_with(config, act):
    """Train with a call of ``act(runner, name, **arguments)`` before each call of the hooks."""
    # MMEngine takes the second for the name, and the logger of a run of the same name.
    named = copy.deepcopy(config)
    named.experiment_name = f'{config.work_dir}_{next(NUMBERS)}'
    runner = Runner.from_cfg(named)
    original = runner.call_hook

    def call(name, **kwargs):
        act(runner, name, **kwargs)
        original(name, **kwargs)

    runner.call_hook = call
    runner.train()
    return runner


def test_three_stages(make_config, tmp_path):
    start, seen = {}, []

    def record(runner, name, batch_idx=None, data_batch=None, **_):
        if name == 'before_train':
            start.update(copy.deepcopy(runner.model.state_dict()))
        if name == 'after_train_iter' and batch_idx == 0:
            (group,) = runner.optim_wrapper.optimizer.param_groups
            count = sum(p.numel() for p in group['params'])
            seen.append((round(group['lr'], 6), count, len(data_batch['inputs'])))

    runner = train_with(make_config(), record)
    folder = tmp_path / 'run'
    match, prompt, refine = (weights(folder / f'{stage["name"]}.pth') for stage in STAGES)
    assert changed(start, match) == HEAD_AND_FUSION
    assert changed(match, prompt) == {'prompt_learner.prompts'}
    assert changed(start, prompt) == HEAD_AND_FUSION | {'prompt_learner.prompts'}
    assert changed(prompt, refine) == HEAD_AND_FUSION
    records = json.loads((folder / 'stages.json').read_text())
    assert [record['stage'] for record in records] == ['match', 'prompt', 'refine']
    assert all('seed_mIoU' in record['metrics'] for record in records)
    # Four steps an epoch in match and refine, two in prompt, two epochs each.
    assert (runner.epoch, runner.iter, runner.max_iters) == (6, 20, 20)
    generator, prompts = runner.model.mask_generator, runner.model.prompt_learner.prompts.numel()
    head = sum(p.numel() for m in (generator.head, generator.fusion) for p in m.parameters())
    of_generator = [(0.01, head, 2), (0.005, head, 2)]
    assert seen == [*of_generator, (0.2, prompts, 4), (0.1, prompts, 4), *of_generator]


def test_a_module_starts_again_from_the_file_of_an_earlier_stage(make_config, tmp_path):
    classify = dict(name='classify', epochs=1)
    stages = [classify, SHORT[0], dict(SHORT[2], optim_wrapper=STILL)]
    train(no_validation(make_config(stages=stages)))
    files = {path.name for path in (tmp_path / 'run').glob('[!e]*.pth')}
    assert files == {'classify.pth', 'match.pth', 'refine.pth'}  # start.pth is read by none
    classify, match, refine = (weights(tmp_path / 'run' / n) for n in sorted(files))
    assert changed(classify, match) == HEAD_AND_FUSION and not changed(classify, refine)


def test_the_second_round_goes_on_from_the_first(make_config, tmp_path):
    """Alternating: prompts go on, on the refined generator; refinement starts anew."""
    second = [dict(stage, optim_wrapper=STILL) for stage in SHORT[1:]]
    train(no_validation(make_config(stages=[*SHORT, *second])))
    start, match, refine, prompt_again, refine_again = (
        weights(tmp_path / f'run/{name}.pth')
        for name in ('start', 'match', 'refine_3', 'prompt_4', 'refine_5')
    )
    assert {key.split('.')[0] for key in start} == {'mask_generator'}
    assert changed(start, match) == HEAD_AND_FUSION
    assert not changed(refine, prompt_again)
    assert changed(refine, refine_again) == HEAD_AND_FUSION
    assert not changed(start, refine_again)


def assert_same_runs(one, two):
    for stage in STAGES:
        name = f'{stage["name"]}.pth'
        assert not changed(*(weights(run / name) for run in (one, two))), (two.name, name)
    records = [json.loads((run / 'stages.json').read_text()) for run in (one, two)]
    assert records[0] == records[1], two.name


def test_resuming_ends_where_an_unbroken_run_ends(make_config, tmp_path):
    """Killed in an epoch, or in the validation at the end of a stage, which is made up for.

    That validation draws no random numbers from the next epoch.
    """
    stages = [STAGES[0], *SHORT[1:]]
    # torch draws which blocks are dropped, in all epochs of match and refine
    drop = {'model.mask_generator.backbone.drop_path_rate': 0.5}
    train(make_config('whole', stages, **drop))
    records = json.loads((tmp_path / 'whole/stages.json').read_text())
    assert all('seed_mIoU' in record['metrics'] for record in records)
    for at in (('before_train_iter', 1, 1), ('before_train_iter', 3, 1), ('before_val_iter', 4, 3)):

        def kill(runner, name, batch_idx=None, at=at, **_):
            if (name, runner.epoch, batch_idx) == at:
                raise Killed

        config = make_config(f'{at[0]} of {at[1]}', stages, **drop)
        with pytest.raises(Killed):
            train_with(config, kill)
        choose_start(config, resume=True)
        assert config.load_from.endswith(f'epoch_{at[1]}.pth')
        train(config)
        assert_same_runs(tmp_path / 'whole', tmp_path / config.work_dir)


def test_each_stage_in_a_run_of_its_own_equals_the_whole_run(make_config, tmp_path):
    """match, prompt and refine one by one, each from the weights before, as --stage does."""

    def config_of(name, **changes):
        config = no_validation(make_config(name, stages=copy.deepcopy(SHORT), **changes))
        # Without random crops and shuffling a stage does not depend on the number of its epoch.
        config.train_dataloader.sampler.shuffle = False
        config.train_dataloader.dataset.pipeline = [
            dict(type='LoadImageFromFile'),
            dict(type='mmpretrain.Resize', scale=(64, 64)),
            dict(type='PackWeakInputs'),
        ]
        return config

    train(config_of('whole'))
    start = None
    for stage in SHORT:
        name = stage['name']
        config = config_of(name, load_from=start)
        if name == 'refine':  # what match began with, in this case from random weights
            with pytest.raises(ValueError, match='no .*start.pth: .*stages.2.restore.mask_gen'):
                choose_stage(copy.deepcopy(config), name)
            config.stages[2].restore.mask_generator = str(tmp_path / 'whole/start.pth')
        choose_stage(config, name)
        train(config)
        start = str(tmp_path / name / f'{name}.pth')
        whole = weights(tmp_path / f'whole/{name}.pth')
        assert not changed(whole, weights(start)), name
    # From the folder of a whole run: its start.pth is found beside the weights.
    config = config_of('again', load_from=str(tmp_path / 'whole/prompt.pth'))
    choose_stage(config, 'refine')
    train(config)
    assert not changed(whole, weights(tmp_path / 'again/refine.pth'))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (
            dict(stages=[STAGES[2]]),
            r'stages\.0\.restore\.mask_generator=match is no earlier stage .* no weights',
        ),
        (
            dict(stages=[STAGES[0], dict(SHORT[2], restore=dict(mask_genrator='match'))]),
            r'stages\.1\.restore\.mask_genrator: .* it has .*mask_generator',
        ),
        (
            dict(stages=[dict(name='match', epochs=1, batch_size=9)]),
            'fewer images than a batch of 9',
        ),
        (
            dict(
                stages=[
                    STAGES[0],
                    dict(name='prompt', epochs=1, optim_wrapper=dict(optimizer=dict(lrr=1))),
                ]
            ),
            r"stages\.1.*optimizer.*'lrr'",
        ),
        (
            dict(model=dict(class_names=['dog', 'cat', 'tvmonitor'])),
            'differ in their order:\n.*background, cat, dog.*\n.*background, dog, cat',
        ),
        (
            dict(model=dict(class_names=['cat', 'dog', 'tv'])),
            'differ in their names:\n.*tvmonitor\n.*tv\n',
        ),
        (dict(auto_scale_lr=dict(enable=True, base_batch_size=8)), 'auto_scale_lr has no effect'),
        (dict(compile=dict(backend='eager')), 'set compile=False'),
        (dict(runner_type='FlexibleRunner'), 'take runner_type out'),
        (
            dict(stages=[dict(SHORT[0], param_scheduler=dict(type='ReduceOnPlateauLR'))]),
            'ReduceOnPlateauLR waits for metrics, which need pixel labels',
        ),
        (
            dict(stages=[dict(SHORT[0], param_scheduler=dict(_delete_=True, type='PolyLR'))]),
            r'stages\.0\.param_scheduler\._delete_ has no effect in a list',
        ),
        (
            {'train_dataloader.dataset.pipeline': [*PIPELINE[:-1], dict(type='PackSegInputs')]},
            'images come without image-level labels .*WeakLabelDataset',
        ),
        (
            dict(custom_hooks=[dict(type='EarlyStoppingHook', monitor='seed_mIoU')]),
            'EarlyStoppingHook is refused .*custom_hooks',
        ),
        (
            {'train_dataloader.sampler.type': 'InfiniteSampler'},
            "InfiniteSampler never ends .*type='DefaultSampler'",
        ),
        (
            dict(
                train_cfg=dict(_delete_=True, type='EpochBasedTrainLoop', max_epochs=1),
                custom_hooks=[dict(type='StageSwitchHook')],
            ),
            "EpochBasedTrainLoop does not .*type='StagedTrainLoop'",
        ),
    ],
)
def test_refusals_before_any_work(make_config, changes, message):
    config = make_config(stages=changes.pop('stages', STAGES))
    config.merge_from_dict(changes)
    with pytest.raises(ValueError, match=message):
        train(config)


def test_rules_for_parameters_that_there_are_not_are_said(make_config, capsys):
    keys = dict(backbnoe=dict(lr_mult=0.1), mask_generator=dict(lr_mult=2))
    rules = dict(paramwise_cfg=dict(custom_keys=keys))
    train(no_validation(make_config(stages=[dict(SHORT[0], optim_wrapper=rules)])))
    out = capsys.readouterr().out
    assert out.count("custom_keys has 'backbnoe', which is part of no") == 1
    assert "has 'mask_generator'" not in out


def test_what_a_resumed_run_cannot_change(make_config, tmp_path):
    two = SHORT[:2]
    train(no_validation(make_config(stages=two)))
    fused = dict(SHORT[1], optim_wrapper=dict(optimizer=dict(lr=0.2, fused=True)))
    for stages, words in (
        (
            [SHORT[0], dict(SHORT[2], restore={})],
            r'saved in stage 1 \(prompt\), but the config has',
        ),
        ([dict(SHORT[0], epochs=2), SHORT[1]], 'stages.0.epochs 1 -> 2'),
        ([SHORT[0], dict(SHORT[1], batch_size=2)], 'stages.1.batch_size 4 -> 2'),
        ([SHORT[0], fused], 'optimizer.fused not set -> True'),
        (SHORT, 'start.pth, .* is missing or is not what .*stages.2.restore.mask_generator='),
    ):
        config = no_validation(make_config(stages=stages))
        choose_start(config, resume=True)
        with pytest.raises(ValueError, match=words):
            train(config)
    config = no_validation(make_config(stages=[*two, dict(name='refine', epochs=1)]))
    choose_start(config, resume=True)
    assert train(config).epoch == 3


def test_a_file_that_a_later_stage_reads_has_to_be_that_of_the_run(make_config, tmp_path):
    def kill(runner, name, **_):
        if name == 'before_train_epoch' and runner.epoch == 2:
            raise Killed

    config = no_validation(make_config(stages=SHORT))
    with pytest.raises(Killed):
        train_with(config, kill)
    choose_start(config, resume=True)
    file = tmp_path / 'run/start.pth'
    good = file.read_bytes()
    file.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(ValueError, match='start.pth, .* is missing or is not what'):
        train(config)
    file.write_bytes(good)
    assert train(config).epoch == 3


def test_stages_of_a_balanced_data_set(make_config):
    config = no_validation(make_config(stages=[SHORT[0]]))
    inner = config.train_dataloader.dataset
    config.stages[0]['train_pipeline'] = inner.pipeline
    config.train_dataloader.dataset = dict(
        type='ClassBalancedDataset', oversample_thr=0.7, dataset=inner
    )
    assert train(config).epoch == 1


@pytest.mark.parametrize('listed', [True, False])
def test_hooks_that_promises_rest_on_are_there_once(make_config, listed):
    """A config that replaces the lists of hooks loses none; one that lists them has them once."""
    config = no_validation(make_config(stages=[SHORT[0]]))
    if not listed:
        config.custom_hooks = [dict(type='EMAHook')]
        config.default_hooks = dict(checkpoint=dict(type='CheckpointHook', interval=5))
    runner = train(config)
    for kind in (StageSwitchHook, EpochSeedHook, FiniteStepHook, CheckpointHook):
        assert sum(isinstance(hook, kind) for hook in runner.hooks) == 1
    (saving,) = (hook for hook in runner.hooks if isinstance(hook, CheckpointHook))
    assert type(saving) is AtomicCheckpointHook and saving.interval == (1 if listed else 5)
    assert runner.model.stage.name == 'match'


def test_a_model_in_no_stage_does_not_train(make_config):
    """Another loop, and a list of hooks without the one that would refuse it."""
    config = no_validation(make_config())
    config.train_cfg, config.custom_hooks = dict(type='EpochBasedTrainLoop', max_epochs=1), []
    with pytest.raises(ValueError, match="no stage: .*type='StagedTrainLoop'.*model.stage"):
        train(config)


def test_an_average_starts_again_with_the_stage(make_config, tmp_path):
    """With a momentum of 0 the average stays where it starts: after the first step of a stage."""
    hook = dict(type='EMAHook', momentum=1e-9)
    stages = [*SHORT[:2], dict(SHORT[2], optim_wrapper=STILL)]
    config = no_validation(make_config(stages=stages))
    config.custom_hooks = [hook]
    train(config)
    start, refine = (weights(tmp_path / f'run/{name}.pth') for name in ('start', 'refine'))
    assert not changed(start, refine)


@pytest.mark.parametrize('count', [2, 3])
def test_accumulated_gradients(make_config, tmp_path, count):
    """Groups end with the epoch, each divided by its size; a stage begins without gradients."""
    rule = {'optim_wrapper.accumulative_counts': count}
    stages = [dict(STAGES[0], batch_size=2), SHORT[1], dict(SHORT[2], batch_size=2)]
    scales, left = [], []

    def watch(runner, name, **_):
        if name == 'before_train_epoch':
            left.extend(p for p in runner.model.parameters() if p.grad is not None)
        if name == 'before_train_iter':
            scales.append(runner.optim_wrapper.scale_loss(torch.ones(())).item())

    train_with(no_validation(make_config('whole', stages, **rule)), watch)
    epoch = {2: [1 / 2] * 4, 3: [1 / 3] * 3 + [1]}[count]
    assert scales == pytest.approx([*epoch, *epoch, 1 / 2, 1 / 2, *epoch]) and not left

    def kill(runner, name, batch_idx=None, **_):
        if (name, runner.epoch, batch_idx) == ('before_train_iter', 1, 1):
            raise Killed

    config = no_validation(make_config('broken', stages, **rule))
    with pytest.raises(Killed):
        train_with(config, kill)
    choose_start(config, resume=True)
    train(config)
    assert_same_runs(tmp_path / 'whole', tmp_path / 'broken')
