"""What the tools check before anything is built."""

import argparse

import pytest
import torch
from mmengine.config import Config

from semples_mmseg.cli.launch import (
    add_common_options,
    check_stages,
    check_work_dir,
    choose_stage,
    choose_start,
    load_config,
)


def arguments(*words):
    parser = argparse.ArgumentParser()
    parser.add_argument('config')
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


def test_missing_config(tmp_path):
    with pytest.raises(FileNotFoundError, match='no config at .*gone.py'):
        load_config(arguments(tmp_path / 'gone.py'))


def test_work_dir_that_cannot_be_written(config_file, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSError, match='work folder .*file/w cannot be written.*--work-dir'):
        load_config(arguments(config_file, '--work-dir', tmp_path / 'file' / 'w'))
    check_work_dir(str(tmp_path / 'new' / 'folder'))
    assert (tmp_path / 'new' / 'folder').is_dir()


@pytest.mark.parametrize(
    ('stages', 'message'),
    [([], 'the config has no stages'), ([dict(name='x', epochs=1)], "unknown stage 'x'")],
)
def test_stages_are_checked_first(stages, message):
    config = Config(dict(stages=stages, custom_hooks=[dict(type='StageSwitchHook')]))
    with pytest.raises(ValueError, match=message):
        check_stages(config)
    check_stages(Config(dict(model=dict())))  # not a staged config


def test_resume_prefers_the_latest_checkpoint_to_load_from(tmp_path):
    config = Config(dict(work_dir=str(tmp_path), load_from='start.pth'))
    choose_start(config, resume=True)
    assert not config.resume and config.load_from == 'weights:start.pth'
    torch.save(dict(), tmp_path / 'epoch_3.pth')
    (tmp_path / 'last_checkpoint').write_text('epoch_3.pth')
    choose_start(config, resume=True)
    assert config.resume and config.load_from == f'weights:{tmp_path}/epoch_3.pth'
    config.load_from = 'start.pth'
    choose_start(config, resume=False)
    assert not config.resume and config.load_from == 'weights:start.pth'


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
    with pytest.raises(ValueError, match='--stage promt is none of .* 1 match, 2 prompt, 3 refine'):
        choose_stage(staged(*names), 'promt')
    with pytest.raises(ValueError, match='--stage prompt says several of the stages'):
        choose_stage(staged(*names), 'prompt')
    with pytest.raises(ValueError, match='load_from=.../refine.pth'):
        choose_stage(staged(*names), '4')
    with pytest.raises(ValueError, match='is none of the stages of .*: none'):
        choose_stage(Config(dict(model=dict())), 'match')
