"""What the tools check before anything is built."""

import argparse
import copy

import pytest
import torch
from mmengine.config import Config
from yapf.yapflib import yapf_api

from semples_mmseg.cli.arguments import add_common_options, add_max_side
from semples_mmseg.cli.launch import (
    check_stages,
    check_validation,
    choose_stage,
    choose_start,
    load_config,
)
from semples_mmseg.utils.errors import Refusal


def arguments(*words):
    parser = argparse.ArgumentParser()
    parser.add_argument('config')
    add_max_side(parser)
    add_common_options(parser)
    return parser.parse_args([str(word) for word in words])


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / 'small.py'
    path.write_text("stages = [dict(name='match', epochs=2)]\nload_from = 'start.pth'\n")
    return path


def test_options_change_single_entries_of_the_stages(config_file, tmp_path):
    args = arguments(
        config_file, '--work-dir', tmp_path / 'w', '--cfg-options', 'stages.0.epochs=1'
    )
    config = load_config(args)
    assert config.stages[0].epochs == 1 and config.work_dir == str(tmp_path / 'w')


def test_the_long_side_is_set_where_the_config_has_one(config_file, tmp_path, capsys):
    changed = ['--work-dir', tmp_path / 'w', '--max-side', '77']
    with pytest.raises(ValueError, match='--max-side has no effect.*small.py.*LimitSide'):
        load_config(arguments(config_file, *changed))
    config_file.write_text("pipeline = [dict(type='LimitSide', max_side=640)]\n")
    assert load_config(arguments(config_file, *changed)).pipeline[0].max_side == 77
    with pytest.raises(SystemExit):
        arguments(config_file, '--max-side', '0')
    assert "expected a positive number, got '0'" in capsys.readouterr().err


def test_missing_config(tmp_path):
    with pytest.raises(FileNotFoundError, match='no config at .*gone.py'):
        load_config(arguments(tmp_path / 'gone.py'))


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('x = 1\nmodel = dict(', r"SyntaxError: '\(' was never closed \(.*base.py, line 2\)"),
        ('x = 1\ny = z', r"NameError: name 'z' is not defined \(.*base.py, line 2\)"),
        ("_base_ = 'gone.py'", 'FileNotFoundError: .*gone.py'),
    ],
)
def test_configs_that_cannot_be_read(text, message, tmp_path):
    (tmp_path / 'base.py').write_text(text)
    (tmp_path / 'own.py').write_text("_base_ = ['base.py']\n")
    with pytest.raises(ValueError, match=f'own.py cannot be read: {message}'):
        load_config(arguments(tmp_path / 'own.py'))


def test_what_a_tool_needs(config_file):
    with pytest.raises(ValueError, match='small.py has no model and no test_cfg; a config of your'):
        load_config(arguments(config_file), 'stages', 'model', 'test_cfg')


def test_work_dir_that_cannot_be_written(config_file, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(Refusal, match='file/w .*--work-dir'):
        load_config(arguments(config_file, '--work-dir', tmp_path / 'file' / 'w'))
    load_config(arguments(config_file, '--work-dir', tmp_path / 'new' / 'folder'))
    assert (tmp_path / 'new' / 'folder').is_dir()


@pytest.mark.parametrize(
    ('stages', 'message'),
    [([], 'the config has no stages'), ([dict(name='x', epochs=1)], "unknown stage 'x'")],
)
def test_stages_are_checked_first(stages, message):
    config = Config(dict(stages=stages, train_cfg=dict(type='StagedTrainLoop')))
    with pytest.raises(ValueError, match=message):
        check_stages(config)
    check_stages(Config(dict(model=dict())))  # not a staged config


def test_resume_prefers_the_latest_checkpoint_to_load_from(tmp_path):
    start, latest = tmp_path / 'start.pth', tmp_path / 'epoch_3.pth'
    torch.save(dict(state_dict={}), start)
    config = Config(dict(work_dir=str(tmp_path / 'run'), load_from=str(start)))
    choose_start(config, resume=True)
    assert not config.resume and config.load_from == f'weights:{start}'
    torch.save(dict(), latest)
    config.work_dir = str(tmp_path)
    (tmp_path / 'last_checkpoint').write_text('epoch_3.pth')
    choose_start(config, resume=True)
    assert config.resume and config.load_from == f'weights:{latest}'
    config.load_from, config.resume = str(start), False
    choose_start(config, resume=False)
    assert not config.resume and config.load_from == f'weights:{start}'


def staged(*names, load_from=None):
    return Config(dict(stages=[dict(name=n, epochs=1) for n in names], load_from=load_from))


@pytest.mark.parametrize('wanted', ['prompt', '2'])
def test_one_stage_by_itself(wanted):
    config = staged('match', 'prompt', 'refine', load_from='match.pth')
    choose_stage(config, wanted)
    assert [stage.name for stage in config.stages] == ['prompt']
    first = staged('match', 'prompt')
    choose_stage(first, 'match')  # the first needs no weights of another stage
    assert [stage.name for stage in first.stages] == ['match']


def test_stages_that_cannot_be_run_by_themselves():
    names = ('match', 'prompt', 'refine', 'prompt')
    with pytest.raises(
        ValueError, match='--stage promt names none of .* 1 match, 2 prompt, 3 refine'
    ):
        choose_stage(staged(*names), 'promt')
    with pytest.raises(ValueError, match='--stage prompt names several of the stages'):
        choose_stage(staged(*names), 'prompt')
    with pytest.raises(ValueError, match='load_from=.../refine.pth'):
        choose_stage(staged(*names), '4')
    with pytest.raises(ValueError, match='names none of the stages of .*: none'):
        choose_stage(Config(dict(model=dict())), 'match')


def validating(tmp_path, **dataset):
    (tmp_path / 'masks').mkdir(exist_ok=True)
    load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
    dataset = {'data_root': str(tmp_path), 'pipeline': load, **dataset}
    return Config(dict(val_dataloader=dict(dataset=dataset), val_evaluator=dict(type='IoUMetric')))


def test_validation_without_masks_is_found_at_once(tmp_path):
    good = dict(img_path='images', seg_map_path='masks')
    check_validation(validating(tmp_path, data_prefix=good))
    for dataset in (
        dict(data_prefix=dict(img_path='images')),
        dict(data_prefix=dict(good, seg_map_path='gone')),
        dict(data_prefix=good, pipeline=[dict(type='LoadImageFromFile')]),
    ):
        with pytest.raises(ValueError, match='val_dataloader=None val_cfg=None val_evaluator=None'):
            check_validation(validating(tmp_path, **dataset))
    check_validation(Config(dict(val_dataloader=None, val_evaluator=None)))


def test_resume_from_a_named_checkpoint(tmp_path):
    torch.save(dict(state_dict={}, optimizer={}), tmp_path / 'run.pth')
    torch.save(dict(state_dict={}), tmp_path / 'weights.pth')
    for name, expected in (('run.pth', True), ('weights.pth', False)):
        given = dict(work_dir=str(tmp_path / 'new'), load_from=str(tmp_path / name))
        for config, resume in ((Config(given), True), (Config(dict(given, resume=True)), False)):
            choose_start(config, resume)
            assert config.resume is expected and config.load_from.endswith(name)
    with pytest.raises(FileNotFoundError, match='gone.pth'):
        choose_start(Config(dict(given, load_from='gone.pth')), resume=True)


def test_options_of_workers_without_workers(config_file, tmp_path):
    config_file.write_text('train_dataloader = dict(num_workers=0, persistent_workers=True)\n')
    config = load_config(arguments(config_file, '--work-dir', tmp_path / 'w'))
    assert config.train_dataloader.to_dict() == dict(num_workers=0)


@pytest.mark.parametrize(
    'change',
    ['train_dataloader.batch_size=0', 'train_cfg.val_interval=0', 'test_dataloader.batch_size=1.5'],
)
def test_batches_and_training_are_not_empty(config_file, change):
    with pytest.raises(ValueError, match=change.replace('=', ' is ')):
        load_config(arguments(config_file, '--cfg-options', change))


def test_the_text_of_a_config_is_formatted_once(config_file, tmp_path, monkeypatch):
    config = load_config(arguments(config_file, '--work-dir', tmp_path / 'w'))
    plain = Config.fromfile(config_file)
    plain.update(launcher=config.launcher, work_dir=config.work_dir)
    expected = plain.pretty_text
    assert config.pretty_text == expected and config.text == plain.text
    config.stages[0].epochs = 3
    assert config.pretty_text != expected
    config.stages[0].epochs = 2
    monkeypatch.setattr(yapf_api, 'FormatCode', None)
    assert copy.deepcopy(config).pretty_text == expected
