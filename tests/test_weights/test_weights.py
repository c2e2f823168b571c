"""Reading checkpoints made elsewhere: wrappers, safety, damage."""

import argparse
import pickle
import re

import pytest
import torch
from safetensors.torch import save_file

from semples_mmseg.weights import read_state_dict


class Bomb:
    """A pickle of this would run code."""

    def __reduce__(self):
        return (print, ('code ran',))


@pytest.mark.parametrize(
    'wrap', [lambda s: s, lambda s: dict(state_dict=s), lambda s: dict(model=s)]
)
def test_wrappers_are_taken_off(tmp_path, wrap):
    torch.save(wrap({'module.a': torch.ones(2), 'b': torch.zeros(1)}), tmp_path / 'x.pth')
    assert set(read_state_dict(tmp_path / 'x.pth')) == {'a', 'b'}


def test_code_is_not_run(tmp_path, capsys):
    torch.save(dict(state_dict=dict(a=torch.ones(1)), extra=Bomb()), tmp_path / 'bomb.pth')
    (tmp_path / 'plain.pth').write_bytes(pickle.dumps(Bomb()))
    for name in ('bomb.pth', 'plain.pth'):
        with pytest.raises(ValueError, match=re.escape(f'{name} was refused')):
            read_state_dict(tmp_path / name)
    assert 'code ran' not in capsys.readouterr().out


def test_the_command_line_of_a_training_script_is_no_code(tmp_path):
    """DeiT's script saves its argparse.Namespace beside the weights."""
    args = argparse.Namespace(lr=0.1, data_path='data', model=None)
    torch.save(dict(model=dict(a=torch.ones(2)), epoch=3, args=args), tmp_path / 'x.pth')
    assert list(read_state_dict(tmp_path / 'x.pth')) == ['a']


def test_damaged_and_missing_files(tmp_path):
    save_file(dict(a=torch.ones(1000)), tmp_path / 'whole.safetensors')
    data = (tmp_path / 'whole.safetensors').read_bytes()
    (tmp_path / 'cut.safetensors').write_bytes(data[: len(data) // 2])
    torch.save(dict(a=torch.ones(1000)), tmp_path / 'whole.pth')
    data = (tmp_path / 'whole.pth').read_bytes()
    (tmp_path / 'cut.pth').write_bytes(data[: len(data) // 2])
    for name in ('cut.safetensors', 'cut.pth'):
        with pytest.raises(ValueError, match=f'{name} is not a readable checkpoint'):
            read_state_dict(tmp_path / name)
    with pytest.raises(ValueError, match='the file is cut short; get it again'):
        read_state_dict(tmp_path / 'cut.pth')
    (tmp_path / 'page.pth').write_text('<!DOCTYPE html><title>404</title>')
    with pytest.raises(ValueError, match='damaged, or a file of another kind'):
        read_state_dict(tmp_path / 'page.pth')
    with pytest.raises(FileNotFoundError, match='no weights at .*gone.pth: put the file there'):
        read_state_dict(tmp_path / 'gone.pth')
    torch.save(dict(a=1), tmp_path / 'none.pth')
    with pytest.raises(ValueError, match='holds no tensors'):
        read_state_dict(tmp_path / 'none.pth')
    torch.save([torch.ones(1)], tmp_path / 'list.pth')
    with pytest.raises(ValueError, match='holds a list'):
        read_state_dict(tmp_path / 'list.pth')
