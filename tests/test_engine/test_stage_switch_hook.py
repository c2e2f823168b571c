"""Stages in MMEngine's Runner: what trains, restores, checkpoints, resuming, refusals."""

import copy
import json

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from tiny import TINY_SEMPLES

from semples_mmseg.cli.launch import choose_start
from semples_mmseg.engine import StageSwitchHook

LABELS = {f'img{n}': labels for n, labels in enumerate([['cat'], ['dog'], ['cat', 'dog'], []] * 2)}
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


@pytest.fixture
def make_config(make_voc_tree, tmp_path):
    """Return a function that makes the config of a staged run on eight random images."""
    root = str(make_voc_tree(LABELS))

    def make(work_dir='run', stages=STAGES, **changes):
        classes = ('background', 'cat', 'dog', 'tvmonitor')
        dataset = dict(
            type='WeakVOCDataset',
            data_root=root,
            ann_file='ImageSets/Segmentation/train.txt',
            metainfo=dict(classes=classes, palette=[[0, 0, 0]] * 4),
            skip_unlabelled=False,
        )
        config = Config(
            dict(
                default_scope='mmseg',
                work_dir=str(tmp_path / work_dir),
                model=copy.deepcopy(TINY_SEMPLES),
                train_dataloader=dict(
                    batch_size=2,
                    num_workers=0,
                    drop_last=True,
                    sampler=dict(type='DefaultSampler', shuffle=True),
                    dataset=dict(
                        **dataset, data_prefix=dict(img_path='JPEGImages'), pipeline=PIPELINE
                    ),
                ),
                val_dataloader=dict(
                    batch_size=1,
                    num_workers=0,
                    sampler=dict(type='DefaultSampler', shuffle=False),
                    dataset=dict(
                        **dataset,
                        test_mode=True,
                        pipeline=[
                            dict(type='LoadImageFromFile'),
                            dict(type='LoadAnnotations'),
                            dict(type='PackWeakInputs', scales=(1.0, 1.2)),
                        ],
                    ),
                ),
                val_cfg=dict(),
                val_evaluator=dict(type='CAMMetric'),
                train_cfg=dict(type='StagedTrainLoop', val_interval=100),
                optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.01)),
                param_scheduler=dict(type='CosineAnnealingLR', eta_min=0),
                custom_hooks=[dict(type='StageSwitchHook')],
                default_hooks=dict(
                    checkpoint=dict(type='CheckpointHook', interval=1),
                    epoch_seed=dict(type='EpochSeedHook'),
                ),
                stages=stages,
                randomness=dict(seed=7),
                log_level='WARNING',
            )
        )
        config.merge_from_dict(changes)
        return config

    return make


def train(config):
    runner = Runner.from_cfg(copy.deepcopy(config))
    runner.train()
    return runner


def weights(path):
    return torch.load(path, map_location='cpu', weights_only=True)['state_dict']


def changed(before, after):
    return {
        '.'.join(key.split('.')[:2]) for key in before if not torch.equal(before[key], after[key])
    }


def test_three_stages(make_config, tmp_path):
    config = make_config()
    runner = Runner.from_cfg(config)
    start = {}
    original = runner.call_hook

    def record(name, **kwargs):
        if name == 'before_train':
            start.update(copy.deepcopy(runner.model.state_dict()))
        original(name, **kwargs)

    runner.call_hook = record
    runner.train()
    folder = tmp_path / 'run'
    match, prompt, refine = (
        weights(folder / f'{name}.pth') for name in ('match', 'prompt', 'refine')
    )
    head_and_fusion = {'mask_generator.head', 'mask_generator.fusion'}
    assert changed(start, match) == head_and_fusion
    assert changed(match, prompt) == {'prompt_learner.prompts'}
    assert changed(start, prompt) == head_and_fusion | {'prompt_learner.prompts'}
    assert changed(prompt, refine) == head_and_fusion
    records = json.loads((folder / 'stages.json').read_text())
    assert [record['stage'] for record in records] == ['match', 'prompt', 'refine']
    assert all('seed_mIoU' in record['metrics'] for record in records)
    # Four steps an epoch in match and refine, two in prompt, two epochs each.
    assert (runner.epoch, runner.iter, runner.max_iters) == (6, 20, 20)


def test_refine_starts_again_from_the_weights_before_match(make_config, tmp_path):
    """With a rate of zero, refine ends where match began."""
    still = copy.deepcopy(STAGES)
    still[2]['optim_wrapper'] = dict(optimizer=dict(lr=0.0, weight_decay=0.0))
    train(make_config(stages=still))
    none = copy.deepcopy(STAGES[:1])
    none[0]['optim_wrapper'] = dict(optimizer=dict(lr=0.0, weight_decay=0.0))
    train(make_config('still', stages=none))
    refine = weights(tmp_path / 'run/refine.pth')
    start = weights(tmp_path / 'still/match.pth')
    assert changed(start, refine) == {'prompt_learner.prompts'}


def test_optimizer_and_schedule_of_each_stage(make_config):
    runner = Runner.from_cfg(make_config())
    seen = []
    original = runner.call_hook

    def record(name, **kwargs):
        original(name, **kwargs)
        if name == 'before_train_iter' and kwargs['batch_idx'] == 0:
            group = runner.optim_wrapper.optimizer.param_groups[0]
            count = sum(p.numel() for p in group['params'])
            seen.append((round(group['lr'], 6), count, len(kwargs['data_batch']['inputs'])))

    runner.call_hook = record
    runner.train()
    generator = runner.model.mask_generator
    head = sum(p.numel() for m in (generator.head, generator.fusion) for p in m.parameters())
    prompts = runner.model.prompt_learner.prompts.numel()
    assert seen == [
        (0.01, head, 2),
        (0.005, head, 2),
        (0.2, prompts, 4),
        (0.1, prompts, 4),
        (0.01, head, 2),
        (0.005, head, 2),
    ]


class Killed(Exception):
    """Stands for the end of a run in the middle."""


def train_until(config, when):
    """Train until a call of a hook, for which ``when(runner, name, batch_idx)`` is true."""
    runner = Runner.from_cfg(copy.deepcopy(config))
    original = runner.call_hook

    def call(name, **kwargs):
        if when(runner, name, kwargs.get('batch_idx')):
            raise Killed
        original(name, **kwargs)

    runner.call_hook = call
    with pytest.raises(Killed):
        runner.train()


def assert_same_runs(one, two, stages=('match', 'prompt', 'refine')):
    for name in stages:
        assert not changed(*(weights(run / f'{name}.pth') for run in (one, two))), (two.name, name)
    records = [json.loads((run / 'stages.json').read_text()) for run in (one, two)]
    assert records[0] == records[1], two.name


def test_resuming_ends_where_an_unbroken_run_ends(make_config, tmp_path):
    """Killed in an epoch, or in the validation at the end of a stage, which is made up for.

    That validation draws no random numbers from the next epoch.
    """
    # torch draws which blocks are dropped, in all epochs of match and refine
    drop = {'model.mask_generator.backbone.drop_path_rate': 0.5}
    train(make_config('whole', **drop))
    records = json.loads((tmp_path / 'whole/stages.json').read_text())
    assert all('seed_mIoU' in record['metrics'] for record in records)
    in_training = [('before_train_iter', epoch, 1) for epoch in (1, 2, 3, 5)]
    in_validation = [('before_val_iter', epoch, 3) for epoch in (4, 6)]
    for kill in (*in_training, *in_validation):
        hook, epoch, _ = kill
        config = make_config(f'{hook} of {epoch}', **drop)
        train_until(config, lambda run, name, batch, kill=kill: (name, run.epoch, batch) == kill)
        choose_start(config, resume=True)
        assert config.load_from.endswith(f'epoch_{epoch}.pth')
        train(config)
        assert_same_runs(tmp_path / 'whole', tmp_path / config.work_dir)


def no_validation(config):
    config.val_dataloader = config.val_cfg = config.val_evaluator = None
    return config


def test_each_stage_in_a_run_of_its_own_equals_the_whole_run(make_config, tmp_path):
    """match, prompt and refine one by one, each from the checkpoint before, as --stage does."""
    stages = [dict(stage, epochs=1) for stage in STAGES]
    stages[0]['keeps'] = ['mask_generator']

    def run(name, chosen, **changes):
        config = no_validation(make_config(name, stages=chosen, **changes))
        # Without random crops and shuffling a stage does not depend on the number of its epoch.
        config.train_dataloader.sampler.shuffle = False
        config.train_dataloader.dataset.pipeline = [
            dict(type='LoadImageFromFile'),
            dict(type='mmpretrain.Resize', scale=(64, 64)),
            dict(type='PackWeakInputs'),
        ]
        train(config)

    run('whole', stages)
    start = None
    for stage in stages:
        name = stage['name']
        run(name, [stage], load_from=start)
        start = str(tmp_path / name / f'{name}.pth')
        whole = weights(tmp_path / f'whole/{name}.pth')
        assert not changed(whole, weights(start)), name


def test_the_second_round_goes_on_from_the_first(make_config, tmp_path):
    """Alternating: prompts go on, on the refined generator; refinement starts anew."""
    still = dict(optimizer=dict(lr=0.0, weight_decay=0.0))
    first = [dict(stage, epochs=1) for stage in STAGES]
    second = [dict(stage, optim_wrapper=still) for stage in first[1:]]
    train(no_validation(make_config(stages=[*first, *second])))
    match, refine, prompt_again, refine_again = (
        weights(tmp_path / f'run/{name}.pth')
        for name in ('match', 'refine_3', 'prompt_4', 'refine_5')
    )
    assert not changed(refine, prompt_again)
    assert changed(refine, refine_again) == {'mask_generator.head', 'mask_generator.fusion'}
    saved = torch.load(tmp_path / 'run/match.pth', weights_only=True)['stage_snapshots']
    start = saved['mask_generator@match']
    assert changed(start, match) == {'mask_generator.head', 'mask_generator.fusion'}
    assert not changed(start, refine_again)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(stages=[]), 'the config has no stages'),
        (dict(stages=[dict(name='mtach', epochs=1)]), "unknown stage 'mtach'"),
        (dict(stages=[STAGES[2]]), "restores mask_generator as it was on entering 'match'"),
        (
            dict(stages=[dict(name='match', epochs=1, keeps=['mask_genrator'])]),
            "keeps names 'mask_genrator', but the model has no such module; it has .*mask_gene",
        ),
        (
            dict(stages=[dict(name='match', epochs=1, batch_size=9)]),
            'a batch of 9 images is more than the 8 there are',
        ),
        (
            dict(model=dict(class_names=['dog', 'cat', 'tvmonitor'])),
            'differ in their order:\n.*background, cat, dog.*\n.*background, dog, cat',
        ),
        (
            dict(model=dict(class_names=['cat', 'dog', 'tv'])),
            'differ in their names:\n.*tvmonitor\n.*tv\n',
        ),
        (dict(train_cfg=dict(max_epochs=3)), r'train_cfg.max_epochs .*stages\.0\.epochs'),
        (dict(auto_scale_lr=dict(enable=True, base_batch_size=8)), 'auto_scale_lr has no effect'),
        (dict(compile=True), 'compile is refused in a run of stages'),
    ],
)
def test_refusals_before_any_work(make_config, changes, message):
    config = make_config()
    if 'stages' in changes:
        config.stages = changes['stages']
    else:
        config.merge_from_dict(changes)
    with pytest.raises(ValueError, match=message):
        train(config)


def test_settings_of_a_later_stage_that_there_are_not(make_config):
    later = dict(name='prompt', epochs=1, optim_wrapper=dict(optimizer=dict(lrr=1)))
    with pytest.raises(ValueError, match=r'stages\.1 \(prompt\): .*optimizer: AdamW has no .*lrr'):
        train(make_config(stages=[STAGES[0], later]))


def test_rules_for_parameters_that_there_are_not_are_said(make_config, capsys):
    keys = dict(backbnoe=dict(lr_mult=0.1), mask_generator=dict(lr_mult=2))
    rules = dict(paramwise_cfg=dict(custom_keys=keys))
    train(no_validation(make_config(stages=[dict(SHORT[0], optim_wrapper=rules)])))
    out = capsys.readouterr().out
    assert out.count("custom_keys has 'backbnoe', which is part of no") == 1
    assert "has 'mask_generator'" not in out


def test_the_batch_size_of_the_loader(make_config, capsys):
    config = make_config()
    del config.train_dataloader['batch_size']
    with pytest.raises(ValueError, match="stage 'match' has no batch_size"):
        train(config)
    unread = make_config('other', stages=[dict(name='match', epochs=1, batch_size=4)])
    train(unread)
    assert 'train_dataloader.batch_size=2 has no effect' in capsys.readouterr().out


def test_a_checkpoint_of_other_stages_is_not_resumed(make_config, tmp_path):
    train(make_config(stages=STAGES[:2]))
    other = make_config(stages=[STAGES[0], dict(name='refine', epochs=1)])
    choose_start(other, resume=True)
    with pytest.raises(ValueError, match=r'saved in stage 1 \(prompt\), but the config has'):
        train(other)


SHORT = [dict(STAGES[0], epochs=1), dict(STAGES[1], epochs=1)]


def test_a_resumed_run_cannot_change_stages_that_have_begun(make_config):
    saving = {'default_hooks.checkpoint.type': 'AtomicCheckpointHook'}
    train(no_validation(make_config(stages=SHORT, **saving)))
    later = [*SHORT, dict(name='refine', epochs=1)]
    for stages, words in (
        ([dict(SHORT[0], epochs=2), SHORT[1]], 'stages.0.epochs 1 -> 2'),
        ([SHORT[0], dict(SHORT[1], batch_size=2)], 'stages.1.batch_size 4 -> 2'),
        ([*SHORT, STAGES[2]], "restores mask_generator as it was on entering 'match'"),
    ):
        config = no_validation(make_config(stages=stages, **saving))
        choose_start(config, resume=True)
        with pytest.raises(ValueError, match=words):
            train(config)
    config = no_validation(make_config(stages=later, **saving))
    choose_start(config, resume=True)
    assert train(config).epoch == 3


def test_fused_adamw_takes_the_same_steps_and_is_not_switched_on_in_a_run(make_config, tmp_path):
    fused = {
        'optim_wrapper.optimizer.fused': True,
        'default_hooks.checkpoint.type': 'AtomicCheckpointHook',
    }
    train(no_validation(make_config('plain', stages=SHORT)))
    config = no_validation(make_config('fused', stages=SHORT, **fused))
    assert train(config).optim_wrapper.optimizer.defaults['fused']
    plain, other = (weights(tmp_path / run / 'prompt.pth') for run in ('plain', 'fused'))
    for name, value in plain.items():
        torch.testing.assert_close(other[name], value, rtol=1e-3, atol=1e-4)
    config.optim_wrapper.optimizer.fused = False
    choose_start(config, resume=True)
    with pytest.raises(ValueError, match='optimizer.fused True -> False'):
        train(config)


@pytest.mark.parametrize('gpu', [True, False])
def test_images_are_pinned_where_there_is_a_gpu(make_config, monkeypatch, gpu):
    config = no_validation(make_config(stages=[dict(STAGES[0], batch_size=4)]))
    runner = Runner.from_cfg(config)
    hook = next(h for h in runner.hooks if isinstance(h, StageSwitchHook))
    assert runner.train_loop  # built on first use
    hook.before_run(runner)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: gpu)
    assert hook._build_loader(runner, hook.plan.specs[0]).pin_memory == gpu
    runner.cfg.train_dataloader.pin_memory = False
    assert not hook._build_loader(runner, hook.plan.specs[0]).pin_memory


def test_stages_of_a_balanced_data_set(make_config):
    config = no_validation(make_config(stages=[dict(STAGES[0], epochs=1)]))
    inner = config.train_dataloader.dataset
    config.stages[0]['train_pipeline'] = inner.pipeline
    config.train_dataloader.dataset = dict(
        type='ClassBalancedDataset', oversample_thr=0.7, dataset=inner
    )
    assert train(config).epoch == 1
