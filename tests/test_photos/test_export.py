"""``semples-mmseg export``: which photo has which mask, and what is refused."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

import semples_mmseg
from semples_mmseg.cli.main import main
from semples_mmseg.photos.run import Run
from semples_mmseg.utils.label_png import read_mask, write_mask

# Two photos of one stem keep their suffix in the id.
PHOTOS = {'Kuh 1.JPG': 'Kuh 1', 'sub/tür.png': 'sub/tür', 'sub/x.jpg': 'sub/x.jpg',
          'sub/x.tif': 'sub/x.tif'}  # fmt: skip


@pytest.fixture
def run(tmp_path):
    """The folder of a finished run as far as an export looks at it."""
    photos, run = tmp_path / 'photos', Run(tmp_path / 'run')
    (photos / 'sub').mkdir(parents=True)
    rng = np.random.default_rng(0)
    for photo, name in PHOTOS.items():
        size = rng.integers(5, 30, 2)
        label = rng.integers(0, 3, size).astype(np.uint8)
        # Lossless under the name of a JPEG: only its bytes are looked at.
        Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(photos / photo)
        write_mask(run.masks / f'{name}.png', label)
    (photos / 'untagged.jpg').write_bytes(b'')
    about = dict(version='0', photos=str(photos), form='list CSV', fit={}, sizes={})
    settings = dict(classes=['person|player', 'cow'], labels=dict.fromkeys(PHOTOS.values(), []))
    inputs = {f'photos/{name}': photos / name for name in PHOTOS}
    run.record().begin('run', settings, inputs, **about)
    return run


def test_masks_go_to_their_photos(run, tmp_path, capsys):
    out = tmp_path / 'masks.json'
    with pytest.raises(SystemExit) as end:
        main(['export', str(run.folder), '--format', 'coco', '--out', str(out)])
    assert end.value.code == 0 and f'4 masks written to {out}' in capsys.readouterr().out
    coco = COCO(str(out))
    assert [coco.cats[i]['name'] for i in (1, 2)] == ['person', 'cow']
    assert {image['file_name'] for image in coco.imgs.values()} == set(PHOTOS)
    for image in coco.imgs.values():
        label = sum(coco.annToMask(a) * a['category_id'] for a in coco.imgToAnns[image['id']])
        truth = read_mask(run.masks / f'{PHOTOS[image["file_name"]]}.png')
        np.testing.assert_array_equal(label, truth)


@pytest.mark.parametrize(('format', 'folder'), [('voc', 'JPEGImages'), ('yolo', 'images')])
def test_photos_are_copied_by_the_names_of_the_masks(run, tmp_path, format, folder):
    out = tmp_path / 'new' / format
    killed = out.parent / f'.{format}.ab_d1234.tmp'  # by an export that was killed
    (killed / format).mkdir(parents=True)
    labelled = semples_mmseg.export(run.folder, format, out, copy_photos=True)
    assert len(labelled.names) == 4
    copied = {path.name: path.read_bytes() for path in (out / folder).iterdir()}
    assert copied.keys() == {'Kuh 1.JPG', 'tür.png', 'sub__x.jpg.jpg', 'sub__x.tif.tif'}
    masks = {path.stem for path in out.rglob('*.png' if format == 'voc' else 'labels/*.txt')}
    assert {name.rpartition('.')[0] for name in copied} <= masks
    assert copied['sub__x.tif.tif'] == (tmp_path / 'photos/sub/x.tif').read_bytes()
    assert [path.name for path in out.parent.iterdir()] == [format]  # nothing temporary


def test_photos_that_were_moved(run, tmp_path):
    shutil.move(tmp_path / 'photos', tmp_path / 'elsewhere')
    with pytest.raises(FileNotFoundError, match='--photos'):
        semples_mmseg.export(run.folder, 'labelme', tmp_path / 'out')
    semples_mmseg.export(run.folder, 'labelme', tmp_path / 'out', photos=tmp_path / 'elsewhere')
    seen = json.loads((tmp_path / 'out/sub/tür.json').read_text())['imagePath']
    assert (tmp_path / 'out/sub' / seen).resolve() == tmp_path / 'elsewhere/sub/tür.png'


def test_what_is_refused(run, tmp_path):
    with pytest.raises(FileNotFoundError, match='holds no run'):
        semples_mmseg.export(tmp_path / 'photos', 'coco', tmp_path / 'x.json')
    with pytest.raises(ValueError, match='docx.*coco, labelme'):
        semples_mmseg.export(run.folder, 'docx', tmp_path / 'x')
    with pytest.raises(ValueError, match='--copy-photos'):
        semples_mmseg.export(run.folder, 'coco', tmp_path / 'x.json', copy_photos=True)
    (run.masks / 'sub/tür.png').unlink()
    with pytest.raises(FileNotFoundError, match='sub/tür.*semples-mmseg fit'):
        semples_mmseg.export(run.folder, 'coco', tmp_path / 'x.json')
    assert not (tmp_path / 'x.json').exists()
