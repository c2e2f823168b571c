"""Finding the checkpoint to resume from among damaged ones."""

import logging
import shutil

import pytest
import torch

from semples_mmseg.weights.latest_checkpoint import latest_whole_checkpoint
from semples_mmseg.weights.reading import find_damage


@pytest.fixture
def folder(tmp_path):
    """A work folder with the checkpoints of epochs 9, 10 and 11, of which 10 was the last."""
    for number in (9, 10, 11):
        tensors = dict(weight=torch.full((64, 64), float(number)), bias=torch.zeros(8))
        torch.save(dict(meta=dict(epoch=number), state_dict=tensors), path(tmp_path, number))
    (tmp_path / 'last_checkpoint').write_text(str(path(tmp_path, 10)))
    return tmp_path


def path(folder, number):
    return folder / f'epoch_{number}.pth'


def cut(file, part):
    file.write_bytes(file.read_bytes()[: int(part * file.stat().st_size)])


def test_the_named_one_if_it_is_whole(folder):
    assert latest_whole_checkpoint(folder) == str(path(folder, 10))
    assert latest_whole_checkpoint(folder / 'new') is None


@pytest.mark.parametrize('part', [0, 0.01, 0.5, 0.99])
def test_a_cut_checkpoint_is_named_and_the_one_before_taken(folder, part, caplog):
    cut(path(folder, 10), part)
    with caplog.at_level(logging.WARNING):
        assert latest_whole_checkpoint(folder) == str(path(folder, 9))


def test_changed_bytes_are_seen(folder):
    """All in the tensors, and none makes the search fail."""
    file = path(folder, 10)
    whole = file.read_bytes()
    start = whole.index(torch.full((64, 64), 10.0).numpy().tobytes())
    inside = range(start, start + 4 * 64 * 64, 997)
    found = {}
    for position in [*inside, *range(0, 700, 5), *range(len(whole) - 700, len(whole), 5)]:
        changed = bytearray(whole)
        changed[position] ^= 0xFF
        file.write_bytes(changed)
        found[position] = find_damage(file)
    assert all('checksum' in found[position] for position in inside)
    assert sum(damage is not None for damage in found.values()) > 60


def test_what_is_no_archive(folder, tmp_path):
    file = tmp_path / 'text.pth'
    file.write_text('not a checkpoint')
    assert find_damage(file).startswith('is damaged')
    assert find_damage(tmp_path) == find_damage(tmp_path / 'gone.pth') == 'is missing'


@pytest.mark.parametrize('text', [b'', b'\x00\xff\xfe', b'epoch_10.pth' * 400])
def test_a_damaged_last_checkpoint_file(folder, text):
    (folder / 'last_checkpoint').write_bytes(text)
    assert latest_whole_checkpoint(folder) == str(path(folder, 11))


def test_what_is_gone(folder):
    path(folder, 10).unlink()
    assert latest_whole_checkpoint(folder) == str(path(folder, 9))
    (folder / 'last_checkpoint').unlink()  # as if killed before it was written for the first time
    assert latest_whole_checkpoint(folder) == str(path(folder, 11))


def test_a_folder_that_was_moved(folder, tmp_path):
    moved = tmp_path / 'moved'
    moved.mkdir()
    for file in [*folder.glob('*.pth'), folder / 'last_checkpoint']:
        shutil.move(file, moved)
    assert latest_whole_checkpoint(moved) == str(path(moved, 10))


def test_none_is_whole(folder):
    for number in (9, 10):
        cut(path(folder, number), 0.5)
    with pytest.raises(ValueError, match=r'none of .* is whole \(epoch_10.pth, epoch_9.pth\)'):
        latest_whole_checkpoint(folder)
    for file in folder.glob('*.pth'):
        file.unlink()
    with pytest.raises(ValueError, match=r'none of .* is whole \(epoch_10.pth\); put one back'):
        latest_whole_checkpoint(folder)


@pytest.mark.parametrize('named', ['http://127.0.0.1:9/x.pth', '../other/epoch_3.pth', '..', '/'])
def test_last_checkpoint_leads_nowhere_else(tmp_path, named):
    (tmp_path / 'other').mkdir()
    torch.save(dict(a=torch.ones(1)), tmp_path / 'other' / 'epoch_3.pth')
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run' / 'last_checkpoint').write_text(named)
    with pytest.raises(ValueError, match='none of .*run is whole'):
        latest_whole_checkpoint(tmp_path / 'run')


def test_checkpoints_in_a_folder_that_the_config_names(folder, tmp_path):
    out = tmp_path / 'out' / folder.name
    out.mkdir(parents=True)
    path(folder, 10).rename(path(out, 10))
    assert latest_whole_checkpoint(folder, str(tmp_path / 'out')) == str(path(out, 10))
    (folder / 'last_checkpoint').write_text('s3://bucket/run/epoch_3.pth')
    assert latest_whole_checkpoint(folder, 's3://bucket') == 's3://bucket/run/epoch_3.pth'
    with pytest.raises(ValueError, match='none of'):
        latest_whole_checkpoint(folder, 's3://bucket/other')
