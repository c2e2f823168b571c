"""A checkpoint that would run code, given to the tools on every path that loads one."""

import contextlib
import os
import pickle
import shutil
from functools import partial

import pytest
import torch
from processes import draw_images, write_config
from run_tool import run_tool


class Evil:
    """A pickle of this makes a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.fixture
def mark(tmp_path):
    """A folder that is not there unless code ran."""
    return tmp_path / 'code_ran'


@pytest.fixture
def evil(tmp_path, mark):
    """A checkpoint that is whole but for one thing in it."""
    content = dict(state_dict=dict(x=torch.ones(1)), meta=dict(epoch=0, iter=0), extra=Evil(mark))
    torch.save(content, tmp_path / 'evil.pth')
    return tmp_path / 'evil.pth'


@pytest.fixture(autouse=True)
def own_environment(monkeypatch):
    """The tools set these variables for their process."""
    for name in ('TORCH_FORCE_WEIGHTS_ONLY_LOAD', 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'):
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)


@pytest.fixture
def make_config(tmp_path):
    """Return a function that writes the config of a small run."""
    draw_images(tmp_path / 'data', 4)
    stages, run = [dict(name='match', epochs=1)], str(tmp_path / 'run')
    return partial(write_config, tmp_path, tmp_path / 'data', stages, work_dir=run)


def initialise(module, prefix=''):
    """The route of an ``init_cfg``."""

    def command(make_config, file, folder):
        init = dict(type='Pretrained', checkpoint=f'{prefix}{file}')
        return 'train.py', make_config(**{f'model.{module}.init_cfg': init})

    return command


def resume(make_config, file, folder):
    (folder / 'run').mkdir()
    shutil.copy(file, folder / 'run')
    (folder / 'run/last_checkpoint').write_text(str(file))
    return 'train.py', make_config(), '--resume'


def make_masks(score):
    def command(make_config, file, folder):
        config = make_config(**{'pseudo_mask_evaluator.background_score': score})
        return 'make_pseudo_masks.py', config, file, '--out', folder / 'masks'

    return command


# How a file comes to be loaded: the command of a tool, from the config's maker, file and folder.
ROUTES = {
    'load_from': lambda make, file, _: ('train.py', make(load_from=str(file))),
    'load_from weights:': lambda make, file, _: ('train.py', make(load_from=f'weights:{file}')),
    '--resume': resume,
    'generator': initialise('mask_generator'),
    'backbone weights:': initialise('mask_generator.backbone', 'weights:'),
    'prompts weights:': initialise('prompt_learner', 'weights:'),
    'CLIP': lambda make, file, _: ('train.py', make(**{'model.clip.pretrained': str(file)})),
    'test': lambda make, file, folder: ('test.py', make(), file, '--out', folder / 'out'),
    'masks': make_masks(0.4),
    'masks, score by CLIP': make_masks('auto'),
    'converter': lambda make, file, folder: (
        'model_converters/convert_weights.py',
        file,
        folder / 'out.pth',
    ),
}


@pytest.mark.parametrize('route', ROUTES)
def test_every_route_refuses(route, make_config, evil, mark, tmp_path):
    command = ROUTES[route](make_config, evil, tmp_path)
    with pytest.raises((ValueError, pickle.UnpicklingError), match='posix.mkdir'):
        run_tool(*command)
    assert not mark.exists()


@pytest.mark.parametrize('route', ['generator', 'backbone weights:'])
def test_the_option_lets_it_through(route, make_config, evil, mark, tmp_path):
    """And nothing else does: without it the same command is refused above."""
    command = ROUTES[route](make_config, evil, tmp_path)
    with contextlib.suppress(ValueError):  # it has no weights for the model
        run_tool(*command, '--trust-checkpoint')
    assert mark.exists()
