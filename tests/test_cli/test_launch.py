"""What the tools check before anything is built."""

import argparse
import copy
import os
import shutil

import pytest
import torch
from mmengine.config import Config
from yapf.yapflib import yapf_api

from semples_mmseg.cli.arguments import add_common_options, add_max_side
from semples_mmseg.cli.evaluation import require_masks
from semples_mmseg.cli.launch import choose_stage, choose_start, load_config
from semples_mmseg.utils.errors import Refusal


def arguments(*words):
    parser = argparse.ArgumentParser()
    parser.add_argument('config')
    add_max_side(parser)
    add_common_options(parser)
    return parser.parse_args([str(word) for word in words])


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Return a function from the text of a config and options to what ``load_config`` gives."""
    monkeypatch.setenv('LOCAL_RANK', '0')
    monkeypatch.setenv('DATA_ROOT', 'data')

    def load(text, *options, needs=()):
        (tmp_path / 'small.py').write_text(text)
        given = arguments(tmp_path / 'small.py', '--work-dir', tmp_path / 'w', *options)
        return load_config(given, *needs)

    return load


STAGED = "stages = [dict(name='match', epochs=2)]\n"


def test_options_change_single_entries_of_the_stages(load, tmp_path):
    config = load(STAGED, '--cfg-options', 'stages.0.epochs=1')
    assert config.stages[0].epochs == 1 and config.work_dir == str(tmp_path / 'w')


def test_options_of_workers_without_workers(load):
    config = load('train_dataloader = dict(num_workers=0, persistent_workers=True)')
    assert config.train_dataloader.to_dict() == dict(num_workers=0)


def test_the_long_side_and_the_folder_of_the_data(load, capsys, monkeypatch):
    limited = "pipeline = [dict(type='LimitSide', max_side=640)]\n"
    monkeypatch.setenv('ONEDNN_PRIMITIVE_CACHE_CAPACITY', '7')
    load(limited)
    assert os.environ['ONEDNN_PRIMITIVE_CACHE_CAPACITY'] == '7'
    monkeypatch.delenv('ONEDNN_PRIMITIVE_CACHE_CAPACITY')
    assert load(limited, '--max-side', '77').pipeline[0].max_side == 77
    assert os.environ['ONEDNN_PRIMITIVE_CACHE_CAPACITY'] == '64'
    rooted = "root = '{{$DATA_ROOT:data}}'\n"
    assert load(rooted, '--data-root', '/own').root == '/own'
    for options in (['--max-side', '77'], ['--data-root', '/own']):
        with pytest.raises(Refusal, match=f'{options[0]} has no effect: .*small.py'):
            load(STAGED, *options)
    with pytest.raises(SystemExit):
        load(limited, '--max-side', '0')
    assert "expected a positive number, got '0'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('x = 1\nmodel = dict(', r"SyntaxError: '\(' was never closed \(.*base.py, line 2\)"),
        ('x = 1\ny = z', r"NameError: name 'z' is not defined \(.*base.py, line 2\)"),
        ("_base_ = 'gone.py'", 'FileNotFoundError: .*gone.py'),
    ],
)
def test_configs_that_cannot_be_read(load, text, message, tmp_path):
    (tmp_path / 'base.py').write_text(text)
    with pytest.raises(Refusal, match=f'small.py cannot be read: {message}'):
        load("_base_ = ['base.py']\n")


def test_what_a_tool_needs(load, tmp_path, monkeypatch):
    with pytest.raises(Refusal, match=r'small.py has no model and no test_cfg.*_base_'):
        load(STAGED, needs=('stages', 'model', 'test_cfg'))
    with pytest.raises(Refusal, match='gone.py'):
        load_config(arguments('gone.py'))
    with pytest.raises(Refusal, match='small.py/w .*--work-dir'):
        load(STAGED, '--work-dir', tmp_path / 'small.py' / 'w')
    full = shutil.disk_usage('/')._replace(free=2**20)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: full)
    with pytest.raises(Refusal, match='num_workers=0'):
        load('val_dataloader = dict(num_workers=2)')


def test_the_text_of_a_config_is_formatted_once(load, tmp_path, monkeypatch):
    config = load(STAGED)
    plain = Config.fromfile(tmp_path / 'small.py')
    plain.update(launcher=config.launcher, work_dir=config.work_dir)
    expected = plain.pretty_text
    assert config.pretty_text == expected and config.text == plain.text
    config.stages[0].epochs = 3
    assert config.pretty_text != expected
    config.stages[0].epochs = 2
    monkeypatch.setattr(yapf_api, 'FormatCode', None)
    assert copy.deepcopy(config).pretty_text == expected


def test_resume_prefers_the_latest_checkpoint_to_load_from(tmp_path):
    (tmp_path / 'new').mkdir()
    torch.save(dict(state_dict={}, optimizer={}), tmp_path / 'epoch_3.pth')
    torch.save(dict(state_dict={}), tmp_path / 'weights.pth')
    (tmp_path / 'last_checkpoint').write_text('epoch_3.pth')
    for folder, start, resume, resumes, taken in (
        ('', 'weights.pth', True, True, 'epoch_3.pth'),
        ('', 'weights.pth', False, False, 'weights.pth'),
        ('new', 'weights.pth', True, False, 'weights.pth'),
        ('new', 'epoch_3.pth', True, True, 'epoch_3.pth'),  # with the state of a run
    ):
        given = dict(work_dir=str(tmp_path / folder), load_from=str(tmp_path / start))
        for config, option in (
            (Config(given), resume),
            (Config(dict(given, resume=resume)), False),
        ):
            choose_start(config, option)
            assert config.resume is resumes
            assert config.load_from == f'weights:{tmp_path / taken}'
    for resume in (True, False):
        with pytest.raises(FileNotFoundError, match='gone.pth'):
            choose_start(Config(dict(given, load_from='gone.pth')), resume)


def staged(*names, load_from=None):
    return Config(dict(stages=[dict(name=n, epochs=1) for n in names], load_from=load_from))


def test_one_stage_by_itself():
    for wanted in ('prompt', '2'):
        config = staged('match', 'prompt', 'refine', load_from='match.pth')
        choose_stage(config, wanted)
        assert [stage.name for stage in config.stages] == ['prompt']
    first = staged('match', 'prompt')
    choose_stage(first, 'match')  # the first needs no weights of another stage
    assert [stage.name for stage in first.stages] == ['match']


@pytest.mark.parametrize(
    ('wanted', 'message'),
    [
        ('promt', '--stage promt names none of .* 1 match, 2 prompt, 3 refine'),
        ('prompt', '--stage prompt names several of the stages'),
        ('4', 'load_from=.../refine.pth'),
    ],
)
def test_stages_that_cannot_be_run_by_themselves(wanted, message):
    with pytest.raises(Refusal, match=message):
        choose_stage(staged('match', 'prompt', 'refine', 'prompt'), wanted)


def test_validation_without_masks_is_found_at_once(tmp_path):
    for name in ('images', 'masks'):
        (tmp_path / name).mkdir()

    def check(*load, **prefix):
        dataset = dict(
            data_root=str(tmp_path),
            data_prefix=dict(img_path='images', **prefix),
            pipeline=[dict(type=name) for name in ('LoadImageFromFile', *load)],
        )
        loader, metric = dict(dataset=dataset), dict(type='IoUMetric')
        require_masks(Config(dict(val_dataloader=loader, val_evaluator=metric)), 'val')

    check('LoadAnnotations', seg_map_path='masks')
    require_masks(Config(dict(val_dataloader=None, val_evaluator=None)), 'val')
    fix = 'IoUMetric.*val_dataloader=None val_cfg=None val_evaluator=None'
    for load, prefix in (
        (['LoadAnnotations'], {}),
        (['LoadAnnotations'], dict(seg_map_path='gone')),
        ([], dict(seg_map_path='masks')),
    ):
        with pytest.raises(Refusal, match=fix):
            check(*load, **prefix)
