"""One folder never mixes masks of two settings."""

import json

import pytest
from PIL import Image

from semples_mmseg.masks.manifest import MANIFEST, checkpoint_entry, open_folder

SETTINGS = dict(checkpoint=None, background_score=0.5, refinement='none', settings=dict(flip=True))


def masks_of(folder, *names, **changes):
    open_folder(folder, SETTINGS | changes, overwrite=False)
    for name in names:
        Image.new('P', (2, 2)).save(folder / name)


def test_a_checkpoint_is_recorded_by_its_content(tmp_path):
    (tmp_path / 'weights.pth').write_bytes(b'abc')
    # SHA-256 of 'abc', from FIPS 180-2
    sha = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
    entry = checkpoint_entry(tmp_path / 'weights.pth')
    assert entry == dict(path=str(tmp_path / 'weights.pth'), sha256=sha)
    masks_of(tmp_path / 'm', 'a.png', checkpoint=entry)
    masks_of(tmp_path / 'm', checkpoint=dict(path='elsewhere.pth', sha256=sha))  # it has moved
    with pytest.raises(FileNotFoundError, match='nowhere.pth'):
        checkpoint_entry('nowhere.pth')


def test_the_same_settings_continue_without_the_leftovers_of_a_kill(tmp_path):
    masks_of(tmp_path, 'a.png')
    kept = (tmp_path / 'a.png').stat().st_mtime_ns
    (tmp_path / '.b.png.12345678.tmp').touch()  # killed while it was written
    masks_of(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a.png', MANIFEST]
    assert (tmp_path / 'a.png').stat().st_mtime_ns == kept
    assert json.loads((tmp_path / MANIFEST).read_text()) == SETTINGS


@pytest.mark.parametrize(
    ('change', 'named'),
    [
        (dict(background_score=0.4), 'background_score: 0.5 there, 0.4 now'),
        (dict(settings=dict(scales=[1.0])), 'settings'),
        (dict(refinement=dict(type='PAMR')), 'refinement: none there'),
        (dict(checkpoint=dict(path='other.pth', sha256='0')), 'checkpoint'),
    ],
)
def test_other_settings_are_refused_unless_overwritten(tmp_path, change, named):
    masks_of(tmp_path, 'a.png', 'b.png')
    before = sorted(p.read_bytes() for p in tmp_path.iterdir())
    with pytest.raises(ValueError, match=f'other settings.*{named}.*--overwrite'):
        masks_of(tmp_path, **change)
    assert sorted(p.read_bytes() for p in tmp_path.iterdir()) == before
    open_folder(tmp_path, SETTINGS | change, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == [MANIFEST]
    masks_of(tmp_path, **change)


def test_a_folder_of_other_png_files_is_never_touched(tmp_path):
    Image.new('L', (2, 2)).save(tmp_path / 'precious.png')
    for overwrite in (False, True):
        with pytest.raises(ValueError, match='no folder of pseudo masks'):
            open_folder(tmp_path, SETTINGS, overwrite)
    assert [p.name for p in tmp_path.iterdir()] == ['precious.png']
