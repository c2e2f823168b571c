"""COCO 2014 from instances to lists, labels and masks, on a generated annotation file."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from coco_tree import SIZE, make_coco_tree, stem
from PIL import Image
from pycocotools.coco import COCO
from rich.console import Console

from semples_mmseg.datasets import COCO_CLASSES, WeakCOCODataset
from semples_mmseg.prepare import coco
from semples_mmseg.prepare.coco import prepare_coco14
from semples_mmseg.utils.label_png import read_mask


@pytest.fixture
def tree(tmp_path):
    return make_coco_tree(tmp_path / 'coco')


def prepare(root, **options):
    options = dict(subset=True, workers=1, console=Console(quiet=True)) | options
    prepare_coco14(root, **options)


def change(root, edit, split='val'):
    path = root / f'annotations/instances_{split}2014.json'
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_lists_labels_and_masks(tree):
    prepare(tree)
    for split in ('train', 'val'):
        ids = [stem(n, split) for n in (1, 2, 4)]
        assert (tree / f'ImageSets/{split}.txt').read_text().split() == ids
        assert json.loads((tree / f'labels_{split}.json').read_text()) == {
            ids[0]: ['person', 'cat', 'dining table'],
            ids[1]: ['person', 'dog', 'toothbrush'],
            ids[2]: ['tv'],
        }
    assert not (tree / 'masks/train2014').exists()

    data = WeakCOCODataset('ImageSets/train.txt', 'labels_train.json', data_root=str(tree))
    infos = data.load_data_list()
    assert [info['img_id'] for info in infos] == [stem(n, 'train') for n in (1, 2, 4)]
    assert [info['image_labels'].sum() for info in infos] == [3, 3, 1]
    assert infos[2]['image_labels'].nonzero()[0].tolist() == [COCO_CLASSES.index('tv')]

    label = {name: index for index, name in enumerate(COCO_CLASSES, 1)}
    first = np.zeros(SIZE, np.uint8)
    first[0:20, 0:30] = label['dining table']
    first[10:30, 0:8] = 255
    first[5:15, 5:15] = label['cat']
    assert np.array_equal(read_mask(tree / f'masks/val2014/{stem(1)}.png'), first)
    second = np.zeros(SIZE, np.uint8)
    second[15:30] = 255
    second[0:10, 0:10] = label['dog']
    second[5:15, 5:15] = label['toothbrush']
    second[20:28, 30:36] = label['dog']
    assert np.array_equal(read_mask(tree / f'masks/val2014/{stem(2)}.png'), second)
    third = np.zeros(SIZE, np.uint8)
    third[2:6, 3:7] = label['tv']
    assert np.array_equal(read_mask(tree / f'masks/val2014/{stem(4)}.png'), third)
    with Image.open(tree / f'masks/val2014/{stem(1)}.png') as image:
        assert image.mode == 'P'


def test_outlines_are_those_of_pycocotools(tree):
    """Odd polygons of several parts: painted where COCO's own annToMask paints them."""
    outline = [[3.5, 2.2, 20.7, 4.1, 11.3, 17.9], [22, 20, 35.5, 21, 30, 28.5, 24, 27]]

    def edit(content):
        content['annotations'][-1].update(segmentation=outline)

    change(tree, edit)
    prepare(tree, splits=['val'])
    api = COCO(tree / 'annotations/instances_val2014.json')
    expected = api.annToMask(api.anns[107])
    mask = read_mask(tree / f'masks/val2014/{stem(4)}.png')
    assert expected.sum() > 100
    assert np.array_equal(mask, expected * (COCO_CLASSES.index('tv') + 1))


def test_a_second_run_adds_what_lacks_and_refuses_what_was_changed(tree):
    moved = tree / f'val2014/{stem(2)}.jpg'
    moved.rename(tree / 'away.jpg')
    prepare(tree)
    first = tree / f'masks/val2014/{stem(1)}.png'
    content, time = first.read_bytes(), first.stat().st_mtime_ns
    (tree / 'away.jpg').rename(moved)
    (tree / f'masks/val2014/{stem(4)}.png').unlink()
    prepare(tree)
    masks = sorted((tree / 'masks/val2014').glob('*.png'))
    assert len(masks) == 3 and first.stat().st_mtime_ns == time
    first.write_bytes(masks[1].read_bytes())
    with pytest.raises(ValueError, match=first.name):
        prepare(tree)
    first.write_bytes(content)

    before = (tree / 'labels_val.json').read_bytes()
    change(tree, lambda content: content['annotations'].pop())
    with pytest.raises(ValueError, match='masks/val2014.*instances_val2014.json'):
        prepare(tree)
    assert (tree / 'labels_val.json').read_bytes() == before
    prepare(tree, out=tree / 'again')
    assert len(list((tree / 'again/masks/val2014').glob('*.png'))) == 2
    (tree / 'masks/val2014/record.json').unlink()
    with pytest.raises(FileExistsError, match='masks/val2014'):
        prepare(tree)


def test_counts_are_checked_unless_it_is_a_subset(tree, monkeypatch):
    with pytest.raises(ValueError, match='train has 3 labelled images, COCO 2014 has 82081'):
        prepare(tree, subset=False)
    assert not (tree / 'ImageSets').exists()
    monkeypatch.setattr(coco, 'SPLITS', dict(train=3, val=3))
    prepare(tree, subset=False)


def test_missing_images_are_named_or_left_out_of_a_subset(tree):
    (tree / f'val2014/{stem(2)}.jpg').unlink()
    with pytest.raises(FileNotFoundError, match=f'1 of 3 labelled images of val.*{stem(2)}.jpg'):
        prepare(tree, splits=['val'], subset=False)
    prepare(tree)
    assert (tree / 'ImageSets/val.txt').read_text().split() == [stem(1), stem(4)]
    (tree / 'val2014').rename(tree / 'elsewhere')
    with pytest.raises(FileNotFoundError, match='3 of 3 labelled images of val are missing'):
        prepare(tree)


def first_annotation(**changes):
    return lambda content: content['annotations'][0].update(changes)


@pytest.mark.parametrize(
    ('edit', 'message'),
    [
        (first_annotation(category_id=12), 'annotation 100 of image 1 has a category .12.'),
        (first_annotation(image_id=77), 'annotation 100 of image 77'),
        (lambda content: content.pop('annotations'), 'is not a file of COCO instances'),
        (lambda content: content['categories'].pop(), 'not the 80 of COCO.*differs: person'),
        (
            lambda content: content['images'].append(dict(content['images'][0], id=9)),
            'instances_val2014.json lists an image twice',
        ),
        (
            lambda content: content['images'][0].update(file_name='../x.jpg'),
            "without a folder, got '../x.jpg'",
        ),
        (first_annotation(segmentation=[[1, 2, 3, 4]]), 'annotation 100 has no valid segm'),
        (first_annotation(segmentation=[[0, 0, 1e9, 1e9, 0, 5]]), 'annotation 100 .* outline'),
        (first_annotation(segmentation=[[1e300, 0, 1e300, 1, 1e300, 0]]), 'annotation 100'),
        (first_annotation(segmentation=dict(counts=[1200], size=[40, 30])), 'of size'),
        (
            lambda content: content['images'][3].update(height=31),
            f'{stem(1)}.jpg is 30 x 40 .*says 31 x 40',
        ),
    ],
)
def test_bad_annotation_files(tree, edit, message):
    change(tree, edit)
    with pytest.raises(ValueError, match=f'(?s){message}'):
        prepare(tree, splits=['val'])
    assert not list(tree.rglob('*.tmp'))


def test_the_command(tree, monkeypatch):
    tool = Path(__file__).parents[2] / 'tools/dataset_converters/coco14.py'
    words = [tool, tree, '--subset', '--splits', 'train', '--masks', 'train', '--workers', 1]
    monkeypatch.setattr(sys, 'argv', [str(word) for word in words])
    runpy.run_path(str(tool), run_name='__main__')
    assert len(list((tree / 'masks/train2014').glob('*.png'))) == 3
    assert not (tree / 'labels_val.json').exists()


def test_missing_or_damaged_files(tree):
    (tree / f'val2014/{stem(4)}.jpg').write_bytes(b'no picture')
    with pytest.raises(ValueError, match=f'{stem(4)}.jpg cannot be read'):
        prepare(tree, splits=['val'])
    path = Path(tree / 'annotations/instances_val2014.json')
    path.write_text('{"images": [')
    with pytest.raises(ValueError, match='instances_val2014.json is not a JSON text file'):
        prepare(tree)
    path.unlink()
    with pytest.raises(FileNotFoundError, match='annotations_trainval2014.zip'):
        prepare(tree)
