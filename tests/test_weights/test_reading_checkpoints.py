"""Checkpoints as data: what is read, what is refused, and what it costs."""

import argparse
import os
import re
import struct
import zipfile
from collections import Counter, OrderedDict

import numpy as np
import pytest
import torch
from fuzz.hostile_pickles import tensor_pickle
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader, load_checkpoint

from semples_mmseg.checkpoints import CheckpointError, read_checkpoint, trust_checkpoints
from semples_mmseg.checkpoints.schemes import load_from_local


class Call:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.fixture(autouse=True)
def no_trust():
    yield
    trust_checkpoints(False)


def content():
    """One of everything that training states are made of."""
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))
    adam = torch.optim.AdamW(model.parameters())
    model(torch.rand(5, 4)).sum().backward()
    adam.step()
    shared = torch.arange(12.0).reshape(3, 4)
    return dict(
        state_dict=model.state_dict(),
        optimizer=adam.state_dict(),
        meta=dict(epoch=1, iter=2, classes=('a', 'b'), big=2**70, none=None, name='é\n'),
        scalars=OrderedDict(loss=HistoryBuffer([0.5, np.float32(0.25)], [1, 2])),
        numbers=[np.float64(0.1), np.int64(3), 1.5, True],
        arrays=[np.arange(6).reshape(2, 3), np.asfortranarray(np.eye(2)), np.random.get_state()],
        tensors=[shared, shared[:, 1:3], shared.t()[:2], torch.tensor(3), torch.empty(0, 3)],
        types=[
            torch.ones(2, dtype=kind)
            for kind in (torch.bfloat16, torch.half, torch.int64, torch.bool)
        ],
        parameter=torch.nn.Parameter(torch.ones(2)),
        size=torch.Size([1, 2]),
        device=torch.device('cpu'),
        dtype=torch.float16,
        counter=Counter([3, 3, 5]),
        options=argparse.Namespace(lr=0.1, names=['x']),
        rng=torch.get_rng_state(),
    )


def assert_same(got, want):
    if isinstance(want, np.generic):
        want = want.item()
    assert type(got) is type(want)
    if isinstance(want, torch.Tensor):
        assert torch.equal(got, want) and got.stride() == want.stride() and got.dtype == want.dtype
        assert got.requires_grad == want.requires_grad
    elif isinstance(want, np.ndarray):
        np.testing.assert_array_equal(got, want)
        assert got.dtype == want.dtype
    elif isinstance(want, (HistoryBuffer, argparse.Namespace)):
        keys = vars(want).keys() - {'statistics_methods'}
        assert_same({k: vars(got)[k] for k in keys}, {k: vars(want)[k] for k in keys})
    elif isinstance(want, dict):
        assert list(got) == list(want)
        assert getattr(got, '_metadata', None) == getattr(want, '_metadata', None)
        for key in want:
            assert_same(got[key], want[key])
    elif isinstance(want, (list, tuple)):
        assert len(got) == len(want)
        for one, other in zip(got, want, strict=True):
            assert_same(one, other)
    else:
        assert got == want


@pytest.mark.parametrize('archive', [True, False])
@pytest.mark.parametrize('protocol', [2, 4, 5])
def test_what_was_saved_comes_back(tmp_path, archive, protocol):
    want = content()
    torch.save(
        want,
        tmp_path / 'x.pth',
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=archive,
    )
    got = read_checkpoint(tmp_path / 'x.pth')
    assert_same(got, want)
    base, part, *_ = got['tensors']
    base[0, 1] = 7
    assert part[0, 0] == 7  # in one storage, as before
    got['scalars']['loss'].update(0.5)
    assert got['scalars']['loss'].mean() == pytest.approx((0.5 + 0.5 + 0.5) / 4, abs=0.2)


@pytest.mark.skipif(
    not hasattr(torch.serialization, 'safe_globals'), reason='PyTorch 2.4 cannot save them'
)
def test_types_without_a_storage_of_their_own(tmp_path):
    want = [torch.arange(4).to(torch.uint16), torch.ones(3).to(torch.float8_e4m3fn)[1:]]
    torch.save(want, tmp_path / 'x.pth')
    for got, tensor in zip(read_checkpoint(tmp_path / 'x.pth'), want, strict=True):
        assert got.dtype == tensor.dtype and torch.equal(got.float(), tensor.float())


def test_every_route_of_mmengines_ends_here(tmp_path, monkeypatch):
    """Also those over a network; none of them comes to torch.load."""
    for loader in CheckpointLoader._schemes.values():
        assert loader.__module__.startswith('semples_mmseg.')

    def refuse(*args, **kwargs):
        raise AssertionError('torch.load was called')

    torch.save(dict(state_dict=dict(a=torch.ones(1))), tmp_path / 'good.pth')
    torch.save(dict(state_dict={}, extra=Call(os.mkdir, 'x')), tmp_path / 'evil.pth')
    monkeypatch.setattr(torch, 'load', refuse)
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    monkeypatch.setattr(
        torch.hub,
        'download_url_to_file',
        lambda url, path: os.link(tmp_path / url.split('/')[-1], path),
    )
    module = 'semples_mmseg.checkpoints.schemes'
    for name in ('torchvision', 'external', 'mmcls'):
        models = {kind: f'https://host.invalid/{kind}.pth' for kind in ('good', 'evil')}
        monkeypatch.setattr(f'{module}.get_{name}_models', lambda models=models: models)

    class Store:
        def get(self, name):
            return (tmp_path / name.split('/')[-1]).read_bytes()

    monkeypatch.setattr(f'{module}.get_file_backend', lambda *args, **kwargs: Store())
    for place in (
        f'{tmp_path}/{{}}.pth',
        'https://host.invalid/{}.pth',
        'http://host.invalid/a/{}.pth?x=1',
        's3://bucket/{}.pth',
        'torchvision://{}',
        'modelzoo://{}',
        'open-mmlab://{}',
        'mmcls://{}',
    ):
        assert 'state_dict' in CheckpointLoader.load_checkpoint(place.format('good'))
        with pytest.raises(
            CheckpointError, match='evil.pth.* was refused: it asks for posix.mkdir'
        ):
            CheckpointLoader.load_checkpoint(place.format('evil'))
    with pytest.raises(CheckpointError, match='pavi://x: get the file'):
        CheckpointLoader.load_checkpoint('pavi://x')
    with pytest.raises(CheckpointError, match='mmcls://none: there is no model'):
        CheckpointLoader.load_checkpoint('mmcls://none')


def test_only_explicit_trust_runs_anything(tmp_path, monkeypatch):
    mark, path = tmp_path / 'mark', tmp_path / 'x.pth'
    torch.save(dict(state_dict=dict(a=torch.ones(1)), extra=Call(os.mkdir, str(mark))), path)
    message = r'x.pth was refused: it asks for posix.mkdir, .*--trust-checkpoint'
    with pytest.raises(CheckpointError, match=message):
        load_from_local(str(path))
    assert not mark.exists()
    told = []
    monkeypatch.setattr('semples_mmseg.checkpoints.reading.print_log', lambda *a: told.append(a[0]))
    trust_checkpoints()
    assert torch.equal(load_from_local(str(path))['state_dict']['a'], torch.ones(1))
    assert mark.exists()
    assert f'{path} asks for posix.mkdir' in told[0] and len(told) == 1


def save_zip(path, entries, kind=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, 'w', kind) as archive:
        for name, data in entries.items():
            archive.writestr(f'a/{name}', data)


@pytest.mark.parametrize(
    ('pickled', 'message'),
    [
        (tensor_pickle(4, (10**6, 10**6), (0, 0)), '1000000000000 elements in a storage of 4'),
        (tensor_pickle(4, (2, 3), (3, 1)), 'a tensor of 6 elements in a storage of 4'),
        (tensor_pickle(4, (2,), (1,), offset=3), 'of 2 elements in a storage of 4'),
        (tensor_pickle(4, (2,), (-1,)), 'size is no whole number'),
        (tensor_pickle(4, (2, 2), (1,)), 'without storage, size or strides'),
        (tensor_pickle(10**12, (2,), (1,)), 'a storage of 1000000000000 elements has 16 bytes'),
        (tensor_pickle(4, (4,), (1,), 'abc'), 'claim more than 2 times the bytes that it holds'),
    ],
)
def test_forged_tensors(tmp_path, pickled, message):
    save_zip(tmp_path / 'x.pth', {'data.pkl': pickled, 'data/0': bytes(16)})
    with pytest.raises(CheckpointError, match=rf'x.pth is not a readable checkpoint: .*{message}'):
        read_checkpoint(tmp_path / 'x.pth')
    save_zip(
        tmp_path / 'x.pth', {'data.pkl': tensor_pickle(4, (2, 2), (2, 1)), 'data/0': bytes(16)}
    )
    assert read_checkpoint(tmp_path / 'x.pth')['w'].shape == (2, 2)


def test_forged_archives(tmp_path):
    good = {'data.pkl': tensor_pickle(4, (2,), (1,)), 'data/0': bytes(16)}
    path = tmp_path / 'x.pth'
    save_zip(path, good, zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match='x.pth .*data.pkl is compressed'):
        read_checkpoint(path)
    save_zip(path, good)
    data = path.read_bytes()
    for wrong, message in (
        (data.replace(b'a/data/0', b'a/data/1'), 'no entry data/0'),
        (data.replace(bytes(16), bytes(15) + b'\1'), "Bad CRC-32 for file 'a/data/0'"),
        (data[:-10] + struct.pack('<L', 1 << 30) + data[-6:], 'list of contents has 1073741824'),
        (data[:-1], 'the file is cut short; get it again'),
        (data + b'x', 'the file is cut short; get it again'),
        (data.replace(b'a/data.pkl', b'a/b/ta.pkl'), 'no data.pkl in one folder'),
    ):
        path.write_bytes(wrong)
        with pytest.raises(CheckpointError, match=f'x.pth is not a readable .*{message}'):
            read_checkpoint(path)
    save_zip(path, {**good, 'byteorder': b'big'})
    with pytest.raises(CheckpointError, match='another order of bytes'):
        read_checkpoint(path)
    module = torch.jit.script(torch.nn.Linear(2, 2))
    torch.jit.save(module, path)
    with pytest.raises(CheckpointError, match='x.pth .* is a TorchScript archive, a program'):
        read_checkpoint(path)


def test_states_that_no_model_takes(tmp_path):
    path = tmp_path / 'x.pth'
    for saved, message in (
        ([torch.ones(1)], 'x.pth holds a list, not a dictionary'),
        (dict(state_dict=[1]), 'its weights .* no dictionary'),
        ({3: torch.ones(1)}, 'its weights .* no dictionary'),
        (dict(state_dict={}, stage_snapshots=3), 'stage_snapshots are no dictionary'),
        (dict(state_dict={}, optimizer={}, meta=dict(epoch='3')), 'cannot be resumed: its meta'),
    ):
        torch.save(saved, path)
        with pytest.raises(CheckpointError, match=message):
            load_checkpoint(torch.nn.Linear(1, 1), str(path))


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
@pytest.mark.parametrize('kind', [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_weights_that_are_not_finite(tmp_path, value, kind):
    weight = torch.ones(2, 2, dtype=kind)
    weight[1, 0] = value
    for key in ('state_dict', 'stage_snapshots'):
        group = dict(weight=weight, bias=torch.ones(2))
        saved = {'state_dict': {}, key: group if key == 'state_dict' else {'m@match': group}}
        torch.save(saved, tmp_path / 'x.pth')
        message = re.escape(f'x.pth: its tensor weight holds values that are not finite ({value})')
        with pytest.raises(CheckpointError, match=message):
            load_checkpoint(torch.nn.Linear(2, 2), str(tmp_path / 'x.pth'))
