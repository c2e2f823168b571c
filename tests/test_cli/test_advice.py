"""The fixes that messages name are run: what a message tells a user to type is accepted."""

import ast
import re
from pathlib import Path

import pytest
from mmengine.config import Config

import semples_mmseg
from semples_mmseg.cli import errors
from semples_mmseg.cli.launch import choose_stage, merge_options
from semples_mmseg.utils.configs import read_options
from semples_mmseg.utils.errors import Refusal
from semples_mmseg.utils.linter import TOP, lint

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / 'semples_mmseg'
CONFIGS = (
    'semples/demo_refine.py',
    'segmenter/segmenter_demo.py',
    'segmenter/segnext_mscan-b_voc12.py',
)
OPTION = re.compile(rf'(?<![\w.+])((?:{"|".join(TOP)})(?:\.\w+)*)=([^\s,;:)`"\'=]+)')

semples_mmseg.register_components()


def texts(path):
    """Strings of a module that are no docstrings."""
    tree = ast.parse(path.read_text(encoding='utf-8'))
    plain = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in plain:
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield ''.join(str(part.value) for part in node.values if isinstance(part, ast.Constant))


def advised():
    """Every KEY=VALUE of a config that a message of the package names, with its module.

    Dictionaries are left out: they stand in a config, not on a command line.
    """
    found = {}
    for path in sorted(PACKAGE.rglob('*.py')):
        for text in texts(path):
            for key, value in OPTION.findall(text):
                if value.strip('.') and not value.isupper() and not value.startswith('dict('):
                    found[f'{key}={value.rstrip(".")}'] = path.relative_to(PACKAGE)
    return found


def accepted(option):
    """Whether a config of the package takes an option as it stands."""
    for name in CONFIGS:
        config = Config.fromfile(ROOT / 'configs' / name)
        try:
            merge_options(config, read_options([option]))
            lint(config)
        except Refusal:
            continue
        return True
    return False


@pytest.mark.parametrize('option', [pytest.param(o, id=f'{p}: {o}') for o, p in advised().items()])
def test_options_that_messages_name_are_accepted(option):
    assert accepted(option)


def test_the_options_are_found():
    assert {'train_dataloader.num_workers=1', 'val_dataloader=None'} <= advised().keys()
    assert 'train_dataloader.num_workers=1' in errors._TOOLS['fewer']
    assert not accepted('train_dataloader.num_worker=1')


@pytest.mark.parametrize(
    'option', ['optim_wraper.optimizer.lr=1', 'stages.0.epoch=3', 'model.anything=3', 'mine.x=1']
)
def test_the_key_that_is_meant_and_a_new_key_by_a_plus(option):
    path = ROOT / 'configs/semples/demo_refine.py'
    with pytest.raises(Refusal) as refusal:
        merge_options(Config.fromfile(path), read_options([option]))
    text, value = str(refusal.value), option.split('=')[1]
    if right := re.search(r'did you mean (\S+)\?', text):
        rest = option.split('=')[0].split('.')[right[1].count('.') + 1 :]
        merge_options(
            Config.fromfile(path), read_options(['.'.join([right[1], *rest]) + f'={value}'])
        )
    (new,) = re.findall(r'To add a new key: (\S+)=VALUE', text)
    merge_options(Config.fromfile(path), read_options([f'{new}={value}']))


def test_the_weights_that_a_single_stage_asks_for():
    config = Config.fromfile(ROOT / 'configs/semples/demo_prompt.py')
    with pytest.raises(Refusal) as refusal:
        choose_stage(config, 'prompt')
    (option,) = re.findall(r'--cfg-options (\S+)', str(refusal.value))
    merge_options(config, read_options([option]))
    choose_stage(config, 'prompt')
    assert [stage.name for stage in config.stages] == ['prompt']
