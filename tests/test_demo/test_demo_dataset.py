"""The demo set on disk and its data set class."""

import json
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from mmseg.registry import DATASETS
from PIL import Image

from semples_mmseg.demo.dataset import DemoDataset
from semples_mmseg.demo.world import OBJECTS, PALETTE
from semples_mmseg.demo.world.scenes import scene_rng, tagged_scene
from semples_mmseg.demo.world.sets import make_demo_set

SIZES = dict(train=6, val=3)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return make_demo_set(tmp_path_factory.mktemp('demo') / 'set', **SIZES)


def _files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


def test_layout(root):
    names = (root / 'ImageSets/train.txt').read_text().split()
    held_out = (root / 'ImageSets/val.txt').read_text().split()
    assert (len(names), len(held_out)) == (6, 3)
    tags = json.loads((root / 'labels.json').read_text())
    assert set(tags) == {*names, *held_out}
    for name, expected in tags.items():
        image = Image.open(root / f'JPEGImages/{name}.png')
        mask = Image.open(root / f'SegmentationClass/{name}.png')
        assert (image.mode, image.size) == ('RGB', (64, 64))
        assert (mask.mode, mask.size) == ('P', (64, 64))
        found = [OBJECTS[i - 1] for i in np.unique(np.asarray(mask)) if i]
        assert found == expected
    assert mask.getpalette()[: 3 * len(PALETTE)] == [v for colour in PALETTE for v in colour]
    scene = tagged_scene(scene_rng(0, 'val', 2))
    stored = np.asarray(Image.open(root / 'JPEGImages/val_00002.png'))
    assert np.array_equal(stored, scene.image)  # lossless
    label = np.asarray(Image.open(root / 'SegmentationClass/val_00002.png'))
    assert np.array_equal(label, np.where(scene.regions < 6, scene.regions + 1, 0))


def test_deterministic_and_sizes_do_not_matter(root, tmp_path):
    again = _files(make_demo_set(tmp_path / 'again', **SIZES))
    assert again == _files(root)
    larger = _files(make_demo_set(tmp_path / 'larger', train=7, val=3))
    assert all(larger[name] == again[name] for name in again if name.startswith('JPEG'))
    other = _files(make_demo_set(tmp_path / 'other', seed=1, **SIZES))
    assert other['JPEGImages/train_00000.png'] != again['JPEGImages/train_00000.png']


def test_other_settings_are_noticed(root, tmp_path):
    with pytest.raises(FileExistsError, match="'seed': 0.*not.*'seed': 5.*delete the folder"):
        make_demo_set(root, seed=5, **SIZES)
    (tmp_path / 'notes.txt').write_text('mine')
    with pytest.raises(FileExistsError, match='not a demo set'):
        make_demo_set(tmp_path, **SIZES)
    assert [path.name for path in tmp_path.iterdir()] == ['notes.txt']
    with pytest.raises(ValueError, match='train >= 1'):
        make_demo_set(tmp_path / 'none', train=0)


def test_failure_leaves_nothing(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError('disk full')

    monkeypatch.setattr('semples_mmseg.demo.world.sets.tagged_scene', fail)
    with pytest.raises(RuntimeError, match='disk full'):
        make_demo_set(tmp_path / 'set', **SIZES)
    assert not list(tmp_path.iterdir())


def test_two_processes_at_once(tmp_path, root):
    context = multiprocessing.get_context('fork')
    jobs = [
        context.Process(target=make_demo_set, args=(tmp_path / 'set', 0, 6, 3)) for _ in range(3)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(60)
    assert [job.exitcode for job in jobs] == [0, 0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ['set']
    assert _files(tmp_path / 'set') == _files(root)


def test_dataset_draws_on_first_use(tmp_path):
    config = dict(
        type='DemoDataset', data_root=str(tmp_path / 'new'), num_train=6, num_val=3, lazy_init=True
    )
    dataset = DATASETS.build(config)
    assert not (tmp_path / 'new').exists()
    dataset.full_init()
    assert len(dataset) == 6
    info = dataset.get_data_info(0)
    tags = json.loads((tmp_path / 'new/labels.json').read_text())
    named = [OBJECTS[k] for k in np.flatnonzero(info['image_labels'])]
    assert named == tags[info['img_id']] and 'seg_map_path' not in info


def test_dataset_masks_only_for_evaluation(root):
    kwargs = dict(data_root=str(root), num_train=6, num_val=3)
    held_out = DemoDataset(split='val', test_mode=True, **kwargs)
    assert len(held_out) == 3
    assert Path(held_out.get_data_info(0)['seg_map_path']).is_file()
    assert held_out.metainfo['classes'] == ('background', *OBJECTS)
    with pytest.raises(FileExistsError, match='delete the folder'):
        DemoDataset(data_root=str(root))
