"""Exports are read back by the rules of their formats, and by the tools' own libraries.

The latter need an environment of their own, see CONTRIBUTING.md; its interpreter is named by the
environment variable ``EXPORT_READERS``.
"""

import json
import os
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from run_tool import run_tool
from scipy import ndimage

from semples_mmseg.photos.exports.folders import outlines
from semples_mmseg.photos.exports.json_formats import encode_brush
from semples_mmseg.photos.exports.labelled import labelled_folder
from semples_mmseg.photos.exports.writing import write_masks
from semples_mmseg.photos.imports.shapes import decode_brush
from semples_mmseg.utils.label_png import read_mask, write_classes, write_mask

CLASSES = ('background', 'cat & dog', 'tree')
NAMES = ('a.jpg', 'sub/a.jpg', 'sub/b.png')


def draw():
    """A mask with a hole and two pieces, one that fills the picture, and one without any class."""
    first = np.zeros((40, 60), np.uint8)
    first[5:30, 5:30] = 1
    first[12:20, 12:20] = 0
    first[25:38, 40:58] = 1
    first[0:4, 50:60] = 2
    first[39] = 255
    return {
        'a.jpg': first,
        'sub/a.jpg': np.full((12, 9), 2, np.uint8),
        'sub/b.png': np.zeros((7, 5), np.uint8),
    }


@pytest.fixture
def labelled(tmp_path):
    masks, photos = tmp_path / 'masks', tmp_path / 'photos'
    for name, mask in draw().items():
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        size, exif = mask.shape[::-1], Image.Exif()
        if name == 'a.jpg':  # stored lying on its side; its mask is upright
            size, exif[ExifTags.Base.Orientation] = mask.shape, 6
        Image.new('RGB', size).save(photos / name, exif=exif)
        write_mask((masks / name).with_suffix('.png'), mask)
    write_classes(masks, CLASSES, [[0, 0, 0], [255, 0, 0], [0, 9, 255]])
    return labelled_folder(masks, photos)


def truth(name):
    mask = draw()[name]
    return np.where(mask == 255, 0, mask)


@pytest.mark.parametrize(('split', 'annotations'), [(False, 3), (True, 4)])
def test_coco(labelled, tmp_path, split, annotations):
    write_masks(labelled, 'coco', tmp_path / 'masks.json', split=split)
    coco = COCO(str(tmp_path / 'masks.json'))
    assert coco.cats == {
        1: dict(id=1, name='cat & dog', supercategory=''),
        2: dict(id=2, name='tree', supercategory=''),
    }
    assert len(coco.anns) == annotations
    for image in coco.imgs.values():
        label = np.zeros((image['height'], image['width']), np.uint8)
        for annotation in coco.imgToAnns[image['id']]:
            region = coco.annToMask(annotation)
            label[region > 0] = annotation['category_id']
            assert annotation['area'] == region.sum() == coco_mask.area(coco.annToRLE(annotation))
        np.testing.assert_array_equal(label, truth(image['file_name']))


def test_labelme(labelled, tmp_path):
    out = tmp_path / 'labelme'
    write_masks(labelled, 'labelme', out)
    for name in NAMES:
        file = (out / name).with_suffix('.json')
        content = json.loads(file.read_text())
        assert (file.parent / content['imagePath']).resolve() == labelled.photos / name
        assert (content['imageHeight'], content['imageWidth']) == truth(name).shape
        assert {shape['shape_type'] for shape in content['shapes']} <= {'mask'}


def test_cvat(labelled, tmp_path):
    many = np.zeros((60, 40), np.uint8)  # more pieces than CVAT has colours
    many[::2, ::2] = np.arange(600).reshape(30, 20) % 2 + 1
    write_mask(labelled.masks / 'sub/b.png', many)
    truths = [truth('a.jpg'), truth('sub/a.jpg'), many]
    write_masks(labelled, 'cvat', tmp_path / 'masks.zip')
    with zipfile.ZipFile(tmp_path / 'masks.zip') as archive:
        lines = archive.read('labelmap.txt').decode().splitlines()
        assert lines[0] == 'background:0,0,0::'
        colours = {}
        for line in lines:
            name, colour, _, _ = line.split(':')
            colours[tuple(map(int, colour.split(',')))] = CLASSES.index(name)
        stems = archive.read('ImageSets/Segmentation/default.txt').decode().split()
        assert stems == ['a', 'sub__a', 'b']
        kinds = []
        for stem, expected in zip(stems, truths, strict=True):
            picture = np.array(Image.open(archive.open(f'SegmentationClass/{stem}.png')))
            label = np.apply_along_axis(lambda rgb: colours[tuple(rgb.tolist())], 2, picture)
            np.testing.assert_array_equal(label, expected)
            objects = np.array(Image.open(archive.open(f'SegmentationObject/{stem}.png')))
            kinds.append(len(np.unique(objects.reshape(-1, 3), axis=0)))
    # background and pieces; of too many pieces the classes
    assert kinds == [4, 1, 3]


def test_voc(labelled, tmp_path):
    write_masks(labelled, 'voc', tmp_path / 'voc')
    for stem, name in zip(('a', 'sub__a', 'b'), NAMES, strict=True):
        file = tmp_path / f'voc/SegmentationClass/{stem}.png'
        np.testing.assert_array_equal(read_mask(file), draw()[name])  # 255 too
        with Image.open(file) as image:
            assert image.mode == 'P' and image.getpalette()[3:6] == [255, 0, 0]
    assert (tmp_path / 'voc/labelmap.txt').read_text().split('\n')[-2] == 'ignored:224,224,192::'
    listed = (tmp_path / 'voc/ImageSets/Segmentation/default.txt').read_text().split()
    assert listed == ['a', 'sub__a', 'b']


def test_yolo(labelled, tmp_path):
    write_masks(labelled, 'yolo', tmp_path / 'yolo')
    lines = (tmp_path / 'yolo/labels/a.txt').read_text().splitlines()
    assert sorted(line.split()[0] for line in lines) == ['0', '0', '1']
    assert (tmp_path / 'yolo/labels/b.txt').read_text() == ''
    assert '  0: "cat & dog"' in (tmp_path / 'yolo/data.yaml').read_text()
    lists = [(tmp_path / f'yolo/{name}.txt').read_text().split() for name in ('train', 'val')]
    assert lists == [['./images/a.jpg', './images/sub__a.jpg'], ['./images/b.png']]


def test_no_mask_takes_the_place_of_another(tmp_path):
    """Photos of one name in two folders, and names that differ in case or look like a path."""
    names = ('x/b', 'y/b', 'x__b', 'B', 'z/B')
    for number, name in enumerate(names):
        (tmp_path / 'photos' / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (4, 4)).save(tmp_path / 'photos' / f'{name}.jpg')
        write_mask(tmp_path / 'masks' / f'{name}.png', np.full((4, 4), number))
    classes = ['background', *'abcd']
    labelled = labelled_folder(tmp_path / 'masks', tmp_path / 'photos', classes)
    flat = labelled.flat_names()
    assert len({name.casefold() for name in flat.values()}) == len(names)
    for format, found in (('voc', '*.png'), ('yolo', 'labels/*.txt')):
        write_masks(labelled, format, tmp_path / format)
        assert len([*(tmp_path / format).rglob(found)]) == len(names)
    write_masks(labelled, 'cvat', tmp_path / 'm.zip')
    with zipfile.ZipFile(tmp_path / 'm.zip') as archive:
        assert len({name for name in archive.namelist() if 'Class/' in name}) == len(names)


def test_what_a_format_cannot_hold(labelled, tmp_path):
    named = replace(labelled, classes=('background', 'a:b', 'tree'))
    with pytest.raises(ValueError, match="'a:b'.*--format"):
        write_masks(named, 'cvat', tmp_path / 'm.zip')
    few = replace(labelled, classes=CLASSES[:2])
    with pytest.raises(ValueError, match=r'a\.png.*id 2'):
        write_masks(few, 'coco', tmp_path / 'm.json')
    (tmp_path / 'm.json').write_text('mine')
    for out in (tmp_path / 'm.json', labelled.masks / 'x.json'):
        with pytest.raises(ValueError, match='--out'):
            write_masks(labelled, 'coco', out)
    assert (tmp_path / 'm.json').read_text() == 'mine' and not (tmp_path / 'm.zip').exists()


@pytest.mark.parametrize('to_pixels', [np.floor, np.rint])
def test_filled_outlines_are_the_regions(to_pixels):
    """Also those of a point or a line of pixels at the edge, whichever way a tool rounds."""
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.random((120, 160)), (0, 0), 4)
    region = noise > np.quantile(noise, 0.6)
    drawn = np.zeros((120, 160), np.uint8)
    for corners in outlines(region):
        written = np.round(corners, 6) * [160, 120]
        cv2.fillPoly(drawn, [to_pixels(written).astype(int)], 1)
    pieces, _ = ndimage.label(region, np.ones((3, 3)))
    sizes = np.bincount(pieces.ravel())[1:]
    small = sizes[sizes < 9].sum()
    filled = ndimage.binary_fill_holes(region)
    assert not (drawn & ~filled).any() and (filled & ~drawn.astype(bool)).sum() <= small


def test_long_runs_of_a_brush():
    """Longer than the 65,536 bytes that one count holds."""
    region = np.zeros((300, 300), bool)
    region[100:250] = True
    np.testing.assert_array_equal(decode_brush(encode_brush(region), (300, 300)), region)


def test_label_studio(labelled, tmp_path):
    write_masks(labelled, 'labelstudio', tmp_path / 'tasks.json', url='/data/')
    tasks = json.loads((tmp_path / 'tasks.json').read_text())
    assert [task['data']['image'] for task in tasks] == [f'/data/{name}' for name in NAMES]
    config = (tmp_path / 'tasks.xml').read_text()
    assert 'value="cat &amp; dog" background="#ff0000"' in config
    for result in (one for task in tasks for one in task['predictions'][0]['result']):
        assert result['from_name'] == 'tag' and '<BrushLabels name="tag"' in config


OUTPUTS = dict(
    labelme='folder', labelstudio='tasks.json', cvat='m.zip', voc='folder', yolo='folder'
)


@pytest.mark.parametrize('format', OUTPUTS)
def test_the_tools_read_them(labelled, tmp_path, format):
    reader = os.environ.get('EXPORT_READERS')
    if not reader:
        pytest.skip('EXPORT_READERS names no interpreter with the libraries of the label tools')
    out, read = tmp_path / OUTPUTS[format], tmp_path / 'read.npz'
    write_masks(labelled, format, out, url='', copy_photos=format in ('voc', 'yolo'))
    program = Path(__file__).with_name('read_back.py')
    done = subprocess.run(
        [reader, program, format, out, read],
        env={key: value for key, value in os.environ.items() if key != 'PYTHONPATH'},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    flat = format in ('cvat', 'voc', 'yolo')
    names = {name: labelled.flat_names()[name] if flat else name for name in NAMES}
    labels = np.load(read)
    assert set(labels) == set(names.values())
    for name in NAMES:
        label, expected = labels[names[name]], (draw()[name] if format == 'voc' else truth(name))
        if not label.size:  # a file without regions does not tell the size
            assert not expected.any()
            continue
        if format == 'yolo':
            expected = sum(index * ndimage.binary_fill_holes(expected == index) for index in (1, 2))
        np.testing.assert_array_equal(label, expected)


def test_the_tool(labelled, tmp_path):
    folders = (labelled.masks, labelled.photos)
    out = tmp_path / 'voc'
    assert run_tool('export_masks.py', *folders, '--format', 'voc', '--out', out) == 0
    with pytest.raises(FileExistsError, match='voc'):
        run_tool('export_masks.py', *folders, '--format', 'voc', '--out', out)
    Image.new('RGB', (60, 40)).save(labelled.photos / 'a.png')
    with pytest.raises(FileNotFoundError, match='a.png.*two'):
        run_tool('export_masks.py', *folders, '--format', 'coco', '--out', tmp_path / 'x.json')
    (labelled.photos / 'a.png').unlink()
    (labelled.photos / 'a.jpg').unlink()
    with pytest.raises(FileNotFoundError, match='a.png'):
        run_tool('export_masks.py', *folders, '--format', 'coco', '--out', tmp_path / 'x.json')
    (labelled.masks / 'classes.json').unlink()
    with pytest.raises(ValueError, match='--classes'):
        run_tool('export_masks.py', *folders, '--format', 'coco', '--out', tmp_path / 'x.json')
