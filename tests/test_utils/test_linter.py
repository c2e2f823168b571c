"""Mistakes in configs are found at once, and what MMEngine builds is never refused."""

import functools
import re
from pathlib import Path

import mmpretrain
import mmseg
import pytest
from mmengine.config import Config
from torch import nn

import semples_mmseg
from semples_mmseg.utils.errors import Refusal
from semples_mmseg.utils.linter import lint

semples_mmseg.register_components()
OTHERS = [
    path
    for package in (mmseg, mmpretrain)
    for path in sorted((Path(package.__file__).parent / '.mim' / 'configs').rglob('*.py'))
    if '_base_' not in path.parts
]
PIPELINE = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(2, 2))]
CONFIG = dict(
    default_scope='mmseg',
    model=dict(
        type='SemPLeS',
        class_names=['cat'],
        mask_generator=dict(
            type='WeakTrGenerator', backbone=dict(type='MultiTokenViT', arch='tiny')
        ),
        image_head=dict(),
        test_cfg=dict(mode='whole'),
    ),
    train_dataloader=dict(
        batch_size=2,
        sampler=dict(type='DefaultSampler', shuffle=True),
        dataset=dict(type='WeakLabelDataset', data_prefix=dict(img_path='a'), pipeline=PIPELINE),
    ),
    train_cfg=dict(by_epoch=True, max_epochs=1),
    default_hooks=dict(checkpoint=dict(type='AtomicCheckpointHook', interval=1)),
    custom_hooks=[dict(type='EMAHook', priority='NORMAL'), dict(type='FiniteStepHook')],
    val_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']),
    stages=[dict(name='match', epochs=1), dict(name='prompt', epochs=1, optim_wrapper={})],
    optim_wrapper=dict(
        type='OptimWrapper',
        optimizer=dict(type='AdamW', lr=1.0),
        paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=2, eps=1e-6))),
    ),
    param_scheduler=dict(type='CosineAnnealingLR', T_max=2, convert_to_iter_based=True),
    randomness=dict(seed=1),
    test_pipeline=PIPELINE,
)


def changed(changes):
    config = Config(CONFIG)
    config.merge_from_dict(changes)
    return config


@pytest.mark.parametrize(
    ('change', 'key', 'right'),
    [
        ({'optim_wraper': {}}, 'optim_wraper', 'optim_wrapper'),
        ({'train_cfg.max_epoch': 3}, 'train_cfg.max_epoch', 'max_epochs'),
        ({'randomness.sed': 3}, 'randomness.sed', 'seed'),
        ({'env_cfg.cudnn_bench': True}, 'env_cfg.cudnn_bench', 'cudnn_benchmark'),
        ({'model.test_cfg.mod': 'slide'}, 'model.test_cfg.mod', 'mode'),
        ({'model.imagehd': {}}, 'model.imagehd', 'image_head'),
        ({'model.mask_generator.backbone.img_sice': 1}, 'backbone.img_sice', 'img_size'),
        ({'default_hooks.checkpiont': {}}, 'default_hooks.checkpiont', 'checkpoint'),
        ({'default_hooks.checkpoint.intervall': 3}, 'checkpoint.intervall', 'interval'),
        ({'val_evaluator.iou_metric': ['mIoU']}, 'val_evaluator.iou_metric', 'iou_metrics'),
        ({'train_dataloader.batchsize': 3}, 'train_dataloader.batchsize', 'batch_size'),
        ({'train_dataloader.sampler.shufle': 3}, 'sampler.shufle', 'shuffle'),
        ({'train_dataloader.dataset.data_prefix.img_pth': ''}, 'img_pth', 'img_path'),
        ({'test_pipeline.1.scal': 3}, 'test_pipeline.1.scal', 'scale'),
        ({'test_pipeline.1.type': 'Resise'}, 'test_pipeline.1.type', 'Resize'),
        ({'test_pipeline.1.type': 'RandomCrop'}, 'test_pipeline.1', 'crop_size'),
        ({'param_scheduler.eta_mim': 0}, 'param_scheduler.eta_mim', 'eta_min'),
        ({'optim_wrapper.optimizer.weigth_decay': 3}, 'weigth_decay', 'weight_decay'),
        ({'optim_wrapper.optimizer.lr': '1e-3x'}, 'optim_wrapper.optimizer', "'1e-3x'"),
        ({'optim_wrapper.paramwise_cfg.norm_decay_mul': 0}, 'norm_decay_mul', 'norm_decay_mult'),
        ({'optim_wrapper.paramwise_cfg.custom_keys.head.lr_mul': 2}, 'head.lr_mul', 'lr_mult'),
    ],
)
def test_a_mistake_names_the_key_and_the_right_one(change, key, right):
    lint(Config(CONFIG))
    with pytest.raises(Refusal, match=re.escape(key)) as refusal:
        lint(changed(change))
    assert right in str(refusal.value).split(key, 1)[1]


@pytest.mark.parametrize(
    ('settings', 'key', 'right'),
    [
        (dict(optim_wrapper=dict(optimizer=dict(lrr=1))), 'optim_wrapper.optimizer.lrr', 'lr'),
        (dict(optim_wrapper=dict(optimizer=dict(type='AdmW'))), 'optim_wrapper.optimizer', 'AdamW'),
        (dict(optim_wrapper=dict(optimizer=dict(lr=-1))), 'optim_wrapper.optimizer', '-1'),
        (dict(param_scheduler=dict(type='PolyRatioLR')), 'param_scheduler', 'eta_min_ratio'),
        (
            dict(train_pipeline=[dict(type='RandomChoice', transforms=[[dict(type='RandmFlip')]])]),
            'train_pipeline.0.transforms.0.0.type',
            'RandomFlip',
        ),
    ],
)
def test_a_stage_is_checked_with_what_it_changes(settings, key, right):
    config = Config(CONFIG)
    config.stages[1].update(settings)
    with pytest.raises(Refusal, match=re.escape(f'stages.1.{key}')) as refusal:
        lint(config)
    assert right in str(refusal.value)


class Own(nn.Module):
    def __init__(self, **kwargs):
        super().__init__()


@pytest.mark.parametrize(
    'change',
    [
        {'stages.0.optim_wrapper': dict(optimizer=dict(_delete_=True, type='SGD', lr=0.1))},
        {'optim_wrapper.type': 'AmpOptimWrapper', 'optim_wrapper.dtype': 'bfloat16'},
        {'optim_wrapper.constructor': 'Own', 'optim_wrapper.paramwise_cfg': dict(decay_rate=0.9)},
        {'optim_wrapper.optimizer.fused': True, 'optim_wrapper._scope_': 'mmseg'},
        {'model.backbone': dict(type=Own, anything=3), 'model.type': Own},
        {'model.type': Own, 'model.norm_cfg': dict(type='SyncBN', requires_grad=True)},
        {'model.type': functools.partial(Own, 1), 'model.width': 3},
        {'model.type': 'notinstalled.Segmentor', 'model.width': 3},
        {'model.type': 'RegisteredLater', 'model.width': 3},
        {'test_pipeline.1': dict(type='mmpretrain.RandomResizedCrop', scale=64)},
        {'test_pipeline': [dict(type='Albu', transforms=[dict(type='RandomCrop', height=3)])]},
        {'test_pipeline': [dict(type='RandomApply', transforms=dict(type='RandomFlip', prob=1))]},
        {'default_hooks.checkpoint': None, 'default_hooks.mine': dict(type='EMAHook')},
        {'train_dataloader.dataset.data_prefix.img_path2': 'b'},
        {'models_of_mine': [1], 'model.test_cfg': dict(beam=3)},
        {'train_dataloder': CONFIG['train_dataloader']},
    ],
)
def test_what_builds_is_not_refused(change):
    lint(changed(change))


def test_configs_of_mmseg_and_mmpretrain_are_not_refused():
    checked = 0
    for path in OTHERS[::40]:
        try:
            config = Config.fromfile(path)
        except Exception:  # needs a package that is not installed, or is no config by itself
            continue
        lint(config)
        checked += 1
    assert checked > 25
