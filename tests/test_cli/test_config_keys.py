"""Mistyped keys of config files, which MMEngine ignores, are refused with the right one."""

import pytest
from mmengine.config import Config

from semples_mmseg.cli.config_keys import check_keys

BASE = dict(
    model=dict(type='WindowedEncoderDecoder', test_cfg=dict(mode='whole')),
    train_dataloader=dict(
        batch_size=2, dataset=dict(data_prefix=dict(img_path='a', img_path2='b'))
    ),
    train_cfg=dict(by_epoch=True, max_epochs=1),
    default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1)),
    val_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']),
    stages=[dict(name='match', epochs=1)],
    optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1)),
    test_pipeline=[dict(type='LoadImageFromFile'), dict(type='Resize', scale=(2, 2))],
)


@pytest.mark.parametrize(
    ('change', 'right'),
    [
        ({'optim_wraper': {}}, 'optim_wrapper'),
        ({'custom_hook': []}, 'custom_hooks'),
        ({'train_cfg.max_epoch': 3}, 'train_cfg.max_epochs'),
        ({'randomness.sed': 3}, 'randomness.seed'),
        ({'model.test_cfg.mod': 'slide'}, 'model.test_cfg.mode'),
        ({'log_processor.widnow_size': 3}, 'log_processor.window_size'),
        ({'env_cfg.cudnn_bench': True}, 'env_cfg.cudnn_benchmark'),
        ({'default_hooks.checkpiont': {}}, 'default_hooks.checkpoint'),
        ({'default_hooks.checkpoint.intervall': 3}, 'default_hooks.checkpoint.interval'),
        ({'val_evaluator.iou_metric': ['mIoU']}, 'val_evaluator.iou_metrics'),
        ({'train_dataloader.batchsize': 3}, 'train_dataloader.batch_size'),
        ({'stages.0.epoch': 3}, 'stages.0.epochs'),
        ({'optim_wrapper.optimizer.weigth_decay': 3}, 'optim_wrapper.optimizer.weight_decay'),
        ({'optim_wrapper.paramwise_cfg.norm_decay_mul': 0}, 'paramwise_cfg.norm_decay_mult'),
        ({'optim_wrapper.paramwise_cfg.custom_keys.head.lr_mul': 2}, 'custom_keys.head.lr_mult'),
        ({'train_dataloader.dataset.data_prefix.img_pth': ''}, 'data_prefix.img_path'),
    ],
)
def test_the_right_key_is_named(change, right):
    config = Config(BASE)
    check_keys(config)
    config.merge_from_dict(change)
    with pytest.raises(ValueError, match=f'{next(iter(change))} has no effect; .*{right}\\?$'):
        check_keys(config)


def test_variables_that_are_used_and_other_names_are_free():
    dataset = dict(data_root='x')
    check_keys(Config(dict(train_dataloder=dataset, train_dataloader=dict(dataset=dataset))))
    check_keys(Config(dict(models_of_mine=[1], model=dict(type='OfMine', test_cfg=dict(beam=3)))))
