"""Reading checkpoints: wrappers, plain data beside the tensors, code, damage."""

import argparse
import pickle
import re
from collections import Counter, OrderedDict, defaultdict
from functools import partial
from pathlib import Path, PureWindowsPath

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import load_checkpoint
from safetensors.torch import save_file

from semples_mmseg.utils.errors import MissingPackage, Refusal
from semples_mmseg.weights import read_checkpoint, read_state_dict, resolve


class Bomb:
    """A pickle of this would run code."""

    def __reduce__(self):
        return (print, ('code ran',))


OPTIMIZER = dict(state={0: dict(step=torch.ones(1))}, param_groups=[])
FORMS = {
    'bare': lambda s: s,
    'MMEngine': lambda s: dict(state_dict=s, meta=dict(epoch=1), optimizer=OPTIMIZER),
    'DeiT': lambda s: dict(model=s, optimizer=OPTIMIZER, epoch=3, args=argparse.Namespace(lr=1)),
    'average alone': lambda s: dict(model_ema=s),
    'weights before average': lambda s: dict(model_ema={'a': torch.zeros(3)}, model=s),
    'net': lambda s: dict(net=s, acc=np.float64(81.2)),
    'nested': lambda s: dict(model=dict(state_dict=s)),
    'teacher': lambda s: dict(teacher=s, epoch=1),
    'DistributedDataParallel': lambda s: {f'module.{k}': v for k, v in s.items()},
    'torch.compile': lambda s: {f'module._orig_mod.{k}': v for k, v in s.items()},
    'Lightning': lambda s: dict(state_dict={f'model.{k}': v for k, v in s.items()}),
    'NumPy': lambda s: dict(model={k: v.numpy() for k, v in s.items()}),
}


@pytest.mark.parametrize('form', FORMS)
def test_every_form_of_checkpoint(tmp_path, form):
    """By the package's reader and by MMEngine's through the prefix."""
    want = {'a.weight': torch.rand(2, 2), 'a.bias': torch.rand(2)}
    torch.save(FORMS[form](want), tmp_path / 'x.pth')
    module = torch.nn.ModuleDict(dict(a=torch.nn.Linear(2, 2)))
    load_checkpoint(module, f'weights:{tmp_path}/x.pth')
    for got in (read_state_dict(tmp_path / 'x.pth'), module.state_dict()):
        torch.testing.assert_close(dict(got), want, rtol=0, atol=0)


def test_code_is_not_run(tmp_path, capsys):
    torch.save(dict(state_dict=dict(a=torch.ones(1)), extra=Bomb()), tmp_path / 'bomb.pth')
    (tmp_path / 'plain.pth').write_bytes(pickle.dumps(Bomb()))
    for name in ('bomb.pth', 'plain.pth'):
        with pytest.raises(Refusal, match=re.escape(name)):
            read_state_dict(tmp_path / name)
    assert 'code ran' not in capsys.readouterr().out


def content():
    """One of everything that training scripts and MMEngine save."""
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))
    adam = torch.optim.AdamW(model.parameters())
    model(torch.rand(5, 4)).sum().backward()
    adam.step()
    return dict(
        state_dict=model.state_dict(),
        optimizer=adam.state_dict(),
        meta=dict(epoch=1, classes=('a', 'b'), seen={1, 2}, none=None, name='é'),
        args=argparse.Namespace(lr=0.1, out=Path('a/b'), data=PureWindowsPath('c:/d')),
        scalars=OrderedDict(loss=HistoryBuffer([0.5, 0.25], [1, 2])),
        numbers=[np.float64(0.1), np.int64(3), np.float32(2), np.bool_(True)],
        arrays=[np.arange(6).reshape(2, 3), np.eye(2, dtype=np.float16), np.random.get_state()],
        others=[Counter('aab'), defaultdict(list, x=[1]), torch.Size([1]), torch.device('cpu')],
    )


@pytest.mark.parametrize('archive', [True, False])
def test_what_training_scripts_save_comes_back(tmp_path, archive):
    want = content()
    torch.save(want, tmp_path / 'x.pth', _use_new_zipfile_serialization=archive)
    before = set(torch.serialization.get_safe_globals())
    got = read_checkpoint(tmp_path / 'x.pth')
    assert set(torch.serialization.get_safe_globals()) == before
    assert str(got['args'].out) == 'a/b' and got['args'].data == PureWindowsPath('c:/d')
    assert got['scalars']['loss'].mean() == want['scalars']['loss'].mean()
    assert got['meta'] == want['meta'] and got['numbers'] == want['numbers']
    assert got['others'] == want['others']
    np.testing.assert_equal(got['arrays'], want['arrays'])
    for key in ('state_dict', 'optimizer'):
        torch.testing.assert_close(got[key], want[key], rtol=0, atol=0)
    assert read_state_dict(tmp_path / 'x.pth').keys() == want['state_dict'].keys()


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
@pytest.mark.parametrize('kind', [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_weights_that_are_not_finite(tmp_path, value, kind):
    weight = torch.ones(2, 2, dtype=kind)
    weight[1, 0] = value
    torch.save(dict(state_dict=dict(weight=weight)), tmp_path / 'x.pth')
    for load in (read_state_dict, lambda p: load_checkpoint(torch.nn.Linear(2, 2), f'weights:{p}')):
        with pytest.raises(Refusal, match='x.pth: its tensor weight'):
            load(tmp_path / 'x.pth')


def test_files_inside_packages(tmp_path):
    file = resolve('semples_mmseg::demo/models/demo_clip.safetensors')
    assert file.is_file() and file.parent.name == 'models'
    with pytest.raises(FileNotFoundError, match='nothing.pth'):
        resolve('semples_mmseg::nothing.pth')
    with pytest.raises(MissingPackage, match='pip install no-such-package'):
        resolve('no_such_package::x.pth')


def test_what_is_no_checkpoint_and_what_is_not_there(tmp_path):
    (tmp_path / 'page.pth').write_text('<!DOCTYPE html><title>404</title>')
    (tmp_path / 'empty.pth').touch()
    torch.save(dict(a=1), tmp_path / 'none.pth')
    torch.save([torch.ones(1)], tmp_path / 'list.pth')
    for name, kind, message in (
        ('page.pth', Refusal, 'page.pth'),
        ('empty.pth', Refusal, 'empty.pth'),
        ('none.pth', Refusal, 'none.pth holds no tensors'),
        ('list.pth', Refusal, 'list.pth holds a list'),
        ('gone.pth', FileNotFoundError, 'gone.pth'),
        ('', FileNotFoundError, r'is a folder: .*\(empty.pth, list.pth, none'),
    ):
        with pytest.raises(kind, match=message):
            read_state_dict(tmp_path / name)


SAVERS = {
    'zip.pth': torch.save,
    'old.pth': partial(torch.save, _use_new_zipfile_serialization=False),
    'x.safetensors': save_file,
    'script.pt': lambda state, path: torch.jit.save(
        torch.jit.script(torch.nn.Linear(4, 4)), str(path)
    ),
}


@pytest.mark.filterwarnings('ignore::FutureWarning')
@pytest.mark.parametrize('name', SAVERS)
def test_damage_anywhere_is_one_kind_of_error(tmp_path, name):
    SAVERS[name](dict(weight=torch.ones(4, 4), bias=torch.ones(4)), tmp_path / name)
    whole, rng = (tmp_path / name).read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        (tmp_path / name).write_bytes(damaged[: rng.choice([rng.integers(len(whole)), None])])
        try:
            assert read_state_dict(tmp_path / name)
        except Refusal as error:
            refused += 1
            assert name in str(error)
    assert refused > 75
