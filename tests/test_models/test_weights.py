"""Checkpoints made elsewhere: layouts, safety, messages."""

import pickle
import re

import pytest
import timm
import torch
from mmengine.runner import CheckpointLoader
from mmpretrain.models import VisionTransformer
from safetensors.torch import save_file

from semples_mmseg.models.weights import read_state_dict, to_mmpretrain_vit


class Bomb:
    """A pickle of this would run code."""

    def __reduce__(self):
        return (print, ('code ran',))


def test_timm_deit_gives_the_same_features_in_mmpretrain(tmp_path):
    torch.manual_seed(0)
    theirs = timm.models.VisionTransformer(
        img_size=64, patch_size=16, embed_dim=24, depth=2, num_heads=3, num_classes=5
    ).eval()
    torch.save(dict(model=theirs.state_dict()), tmp_path / 'deit.pth')
    ours = VisionTransformer(
        arch=dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=96),
        img_size=64,
        patch_size=16,
        out_type='raw',
    )
    ours.eval()
    state = CheckpointLoader.load_checkpoint(f'weights:{tmp_path}/deit.pth')['state_dict']
    result = ours.load_state_dict(state, strict=False)
    assert not result.missing_keys
    assert sorted(result.unexpected_keys) == ['head.bias', 'head.weight']
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(
        ours(images)[0], theirs.forward_features(images), rtol=1e-5, atol=1e-5
    )


def test_other_key_names_stay():
    state = {'layers.0.ln1.weight': torch.ones(1), 'norm.weight': torch.ones(1)}
    assert to_mmpretrain_vit(state) is state


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


def test_damaged_and_missing_files(tmp_path):
    save_file(dict(a=torch.ones(1000)), tmp_path / 'whole.safetensors')
    data = (tmp_path / 'whole.safetensors').read_bytes()
    (tmp_path / 'cut.safetensors').write_bytes(data[: len(data) // 2])
    torch.save(dict(a=torch.ones(1000)), tmp_path / 'whole.pth')
    data = (tmp_path / 'whole.pth').read_bytes()
    (tmp_path / 'cut.pth').write_bytes(data[: len(data) // 2])
    for name in ('cut.safetensors', 'cut.pth'):
        with pytest.raises(ValueError, match=f'{name} (is not a readable|was refused)'):
            read_state_dict(tmp_path / name)
    with pytest.raises(FileNotFoundError, match='no weights at .*gone.pth: put the file there'):
        read_state_dict(tmp_path / 'gone.pth')
    torch.save(dict(a=1), tmp_path / 'none.pth')
    with pytest.raises(ValueError, match='holds no tensors'):
        read_state_dict(tmp_path / 'none.pth')
    torch.save([torch.ones(1)], tmp_path / 'list.pth')
    with pytest.raises(ValueError, match='holds a list'):
        read_state_dict(tmp_path / 'list.pth')
