"""``--cfg-options``: values as MMEngine reads them; what would change nothing is refused."""

import argparse

import pytest
from mmengine.config import Config

import semples_mmseg
from semples_mmseg.cli.arguments import add_common_options
from semples_mmseg.cli.evaluation import use_tta
from semples_mmseg.cli.launch import merge_options
from semples_mmseg.utils.configs import read_options
from semples_mmseg.utils.errors import Refusal

semples_mmseg.register_components()


@pytest.fixture
def config():
    return Config(
        dict(
            epochs=7,
            data_root='data/own/',
            stages=[dict(name='match', epochs=2, batch_size=4)],
            default_scope='mmseg',
            model=dict(
                type='SemPLeS',
                mask_generator=dict(type='WeakTrGenerator', num_classes=3),
                image_head=dict(),
                text_head=dict(),
                data_preprocessor=dict(),
            ),
            train_cfg=dict(by_epoch=True, max_epochs=7, val_interval=1),
            optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.1)),
            train_dataloader=dict(batch_size=4, dataset=dict(ann_file='data/own/list.txt')),
        )
    )


@pytest.mark.parametrize(
    ('key', 'words'),
    [
        ('stage.0.epochs', 'stages'),
        ('optim_wraper.optimizer.lr', 'optim_wrapper'),
        ('optim_wrapper.optimiser.lr', 'optim_wrapper.optimizer'),
        ('stages.0.epoch', 'stages.0.epochs'),
        ('stages.1.epochs', 'stages is a list of 1'),
        ('stages.match.epochs', 'stages is a list of 1'),
        ('model.image_head.dtyp', 'model.image_head.dtype'),
        ('train_cfg.val_intervall', 'train_cfg.val_interval'),
        ('train_dataloader.workers', 'num_workers'),
        ('epochs.x', 'epochs is 7'),
        ('epochs', 'epochs has no effect.*train_cfg.max_epochs'),
        ('data_root', 'data_root has no effect.*train_dataloader.dataset.ann_file'),
        ('train_dataloader.batch_size', 'has no effect.*stages.0.batch_size'),
    ],
)
def test_keys_without_effect(config, key, words):
    before = config.to_dict()
    with pytest.raises(Refusal, match=words.replace('.', r'\.').replace(r'\.*', '.*')):
        merge_options(config, {key: 1})
    assert config.to_dict() == before


def test_new_keys(config):
    merge_options(
        config,
        {
            'stages.0.optim_wrapper.optimizer.lr': 5.0,
            'train_dataloader.num_workers': 0,
            'load_from': 'x.pth',
            'model.mask_generator.fusion.reduction': 2,
            'optim_wrapper.clip_grad.max_norm': 1.0,
            'model.image_head.max_batch': 16,
            'model.text_head.template': 'a {}',
            'model.data_preprocessor.non_blocking': True,
            'optim_wrapper.paramwise_cfg.custom_keys.head.lr_mult': 2,
            '+anything.new': 3,
        },
    )
    assert config.stages[0].optim_wrapper.optimizer.lr == 5.0
    assert config.anything.new == 3 and config.optim_wrapper.clip_grad.max_norm == 1.0
    config.stages = []  # then the lengths of the run count
    merge_options(config, {'train_cfg.max_epochs': 3, 'train_dataloader.batch_size': 2})
    assert config.train_cfg.max_epochs == 3


@pytest.fixture
def parser():
    parser = argparse.ArgumentParser()
    add_common_options(parser)
    return parser


@pytest.mark.parametrize(
    ('text', 'value'),
    [
        ('/my data (1)/VOC 2012', '/my data (1)/VOC 2012'),
        ("'quoted path'", 'quoted path'),
        ('1e-3', 1e-3),
        ('None', None),
        ('[(0.9, 0.98), a]', [(0.9, 0.98), 'a']),
        ('a=b', 'a=b'),
    ],
)
def test_values(parser, text, value):
    given = parser.parse_args(['--cfg-options', f'a.b={text}'])
    assert read_options(given.cfg_options) == {'a.b': value}


@pytest.mark.parametrize('value', ["[dict(type='EMAHook')]", "{'type': 'EMAHook'}"])
def test_dictionaries_are_refused(parser, value):
    given = parser.parse_args(['--cfg-options', f'custom_hooks={value}'])
    with pytest.raises(Refusal, match='custom_hooks=.*put dictionaries into a config'):
        read_options(given.cfg_options)


def test_cams_have_no_other_test_time_augmentation(config):
    config.merge_from_dict(dict(tta_model=dict(type='SegTTAModel'), tta_pipeline=[dict()]))
    config.model.mask_generator = dict()
    with pytest.raises(Refusal, match='--tta: SemPLeS predicts at several scales'):
        use_tta(config)


def test_a_setting_without_a_value_is_refused(parser, capsys):
    with pytest.raises(SystemExit):
        parser.parse_args(['--cfg-options', 'model.pretrained'])
    assert 'model.pretrained' in capsys.readouterr().err
