"""What a stage sets is compared with the classes that take it."""

import dataclasses
import re

import pytest

from semples_mmseg.engine.stage_plan import StagePlan
from semples_mmseg.engine.stage_settings import check_settings

CONFIG = dict(optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.01)))


def rules(**settings):
    return dict(optim_wrapper=dict(paramwise_cfg=settings))


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (
            dict(optim_wrapper=dict(optimizer=dict(lrr=1))),
            "optim_wrapper.optimizer: AdamW has no argument 'lrr'; did you mean 'lr'?",
        ),
        (
            dict(optim_wrapper=dict(optimizer=dict(type='AdmW'))),
            "optim_wrapper.optimizer: there is no 'AdmW'; did you mean 'AdamW'?",
        ),
        (
            dict(optim_wrapper=dict(clip_gard=dict(max_norm=1))),
            "optim_wrapper: OptimWrapper has no argument 'clip_gard'; did you mean 'clip_grad'?",
        ),
        (
            dict(optim_wrapper=dict(optimizer=dict(lr=-1))),
            "optim_wrapper.optimizer={'lr': -1}: Invalid learning rate: -1",
        ),
        (
            rules(custom_key={}),
            "optim_wrapper.paramwise_cfg has no argument 'custom_key'; did you mean 'custom_keys'?",
        ),
        (
            rules(custom_keys=dict(head=dict(lr_mul=2))),
            "optim_wrapper.paramwise_cfg.custom_keys.head has no argument 'lr_mul'; did you",
        ),
        (
            dict(param_scheduler=dict(type='CosineAnnealingLR', eta_mim=0)),
            "param_scheduler.0: CosineAnnealingLR has no argument 'eta_mim'; did you mean 'eta_",
        ),
        (
            dict(param_scheduler=dict(type='WarmupCosineLR', warmup=1, minimum=0)),
            "param_scheduler.0: WarmupCosineLR needs 'total'",
        ),
        (
            dict(train_pipeline=[dict(type='RandomCrop')]),
            "train_pipeline.0: RandomCrop needs 'crop_size'",
        ),
        (
            dict(param_scheduler=[dict(type='CosineAnnealingLR'), dict(type='CosineAnealingLR')]),
            "param_scheduler.1: there is no 'CosineAnealingLR'; did you mean 'CosineAnnealingLR'?",
        ),
        (
            dict(
                train_pipeline=[
                    dict(type='LoadImageFromFile'),
                    dict(type='RandomCorp', crop_size=32),
                ]
            ),
            "train_pipeline.1: there is no 'RandomCorp'; did you mean 'RandomCrop'?",
        ),
        (
            dict(
                train_pipeline=[
                    dict(type='RandomChoice', transforms=[[dict(type='RandomFlip', prb=1)]])
                ]
            ),
            "train_pipeline.0.transforms.0.0: RandomFlip has no argument 'prb'; did you mean 'prob",
        ),
    ],
)
def test_what_there_is_not_is_named(settings, message):
    spec = StagePlan([dict(name='prompt', epochs=1) | settings]).specs[0]
    with pytest.raises(ValueError, match=re.escape(f'stages.1 (prompt): {message}')):
        check_settings(CONFIG, spec, 'stages.1 (prompt)')


def test_settings_of_all_kinds_are_known():
    spec = StagePlan(
        [
            dict(
                name='prompt',
                epochs=1,
                optim_wrapper=dict(
                    _scope_='semples_mmseg',
                    type='AmpOptimWrapper',
                    dtype='bfloat16',
                    accumulative_counts=2,
                    clip_grad=dict(max_norm=1),
                    paramwise_cfg=dict(
                        _scope_='mmseg',
                        custom_keys=dict(_scope_='mmseg', head=dict(lr_mult=2, eps=1e-6)),
                    ),
                ),
                param_scheduler=dict(type='LinearLR', start_factor=0.1, convert_to_iter_based=True),
                train_pipeline=[
                    dict(type='mmpretrain.RandomResizedCrop', scale=64),
                    dict(type='RandomApply', prob=0.1, transforms=dict(type='RandomFlip', prob=1)),
                    dict(type='Albu', transforms=[dict(type='of another library')]),
                ],
            )
        ]
    ).specs[0]
    check_settings(CONFIG, spec, 'stage')
    own = dict(constructor='Own', paramwise_cfg=dict(decay_rate=0.9))
    check_settings(CONFIG, dataclasses.replace(spec, optim_wrapper=own), 'stage')


def test_an_optimizer_that_replaces_that_of_the_run_is_the_same_each_time():
    config = dict(optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.01, weight_decay=0.03)))
    own = dict(optimizer=dict(_delete_=True, type='SGD', lr=0.1))
    spec = StagePlan([dict(name='match', epochs=1, optim_wrapper=own)]).specs[0]
    for _ in range(2):
        assert spec.optimizer_config(config).optimizer == dict(type='SGD', lr=0.1)
