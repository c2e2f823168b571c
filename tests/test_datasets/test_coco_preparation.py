"""COCO 2014 from instances to lists, labels and masks, on a generated annotation file."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from rich.console import Console

from semples_mmseg.datasets import COCO_CLASSES, WeakCOCODataset
from semples_mmseg.datasets.preparation import coco
from semples_mmseg.datasets.preparation.coco import prepare_coco14
from semples_mmseg.pseudo_masks import read_mask

# The ids of COCO's categories: 1 to 90 without these ten.
UNUSED = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
IDS = [number for number in range(1, 91) if number not in UNUSED]
SIZE = (30, 40)


def box(left, top, right, bottom):
    """A polygon that covers the pixels left..right-1, top..bottom-1."""
    return [[left, top, right, top, right, bottom, left, bottom]]


def runs(rows, columns):
    """A crowd's uncompressed run lengths, column by column."""
    pixels = np.zeros(SIZE, bool)
    pixels[rows, columns] = True
    flat = pixels.flatten(order='F')
    ends = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *ends, flat.size]).tolist()
    return dict(counts=[0, *counts] if flat[0] else counts, size=list(SIZE))


def instances(split):
    """Four images: overlaps, crowds, nothing, a compressed code."""
    shapes = [
        # the small cat is listed first and must still end up over the large table
        (1, 'cat', 0, box(5, 5, 15, 15)),
        (1, 'dining table', 0, box(0, 0, 30, 20)),
        (1, 'person', 1, runs(slice(10, 30), slice(0, 8))),
        # two of one size: the later one is on top; and a dog in a larger crowd
        (2, 'dog', 0, box(0, 0, 10, 10)),
        (2, 'toothbrush', 0, box(5, 5, 15, 15)),
        (2, 'person', 1, runs(slice(15, 30), slice(0, 40))),
        (2, 'dog', 0, box(30, 20, 36, 28)),
    ]
    solid = np.asfortranarray(np.pad(np.ones((4, 4), np.uint8), ((2, 24), (3, 33))))
    packed = coco_mask.encode(solid)
    packed = dict(size=packed['size'], counts=packed['counts'].decode())
    shapes.append((4, 'tv', 0, packed))
    return dict(
        images=[
            dict(id=n, file_name=f'COCO_{split}2014_{n:012d}.jpg', height=SIZE[0], width=SIZE[1])
            for n in (4, 2, 3, 1)
        ],
        annotations=[
            dict(
                id=100 + n,
                image_id=image,
                category_id=IDS[COCO_CLASSES.index(name)],
                iscrowd=crowd,
                segmentation=segmentation,
                area=1,
            )
            for n, (image, name, crowd, segmentation) in enumerate(shapes)
        ],
        # the order of the file does not matter, that of the ids does
        categories=[
            dict(id=number, name=name)
            for number, name in reversed(list(zip(IDS, COCO_CLASSES, strict=True)))
        ],
    )


@pytest.fixture
def tree(tmp_path):
    """A COCO of four images a split; the third has no annotations, nor is it on disk."""
    root = tmp_path / 'coco14'
    (root / 'annotations').mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split in ('train', 'val'):
        (root / f'annotations/instances_{split}2014.json').write_text(json.dumps(instances(split)))
        (root / f'{split}2014').mkdir()
        for n in (1, 2, 4):
            image = Image.fromarray(rng.integers(0, 256, (*SIZE, 3), np.uint8))
            image.save(root / f'{split}2014' / f'COCO_{split}2014_{n:012d}.jpg')
    return root


def prepare(root, **options):
    options = dict(subset=True, workers=1, console=Console(quiet=True)) | options
    prepare_coco14(root, **options)


def change(root, edit, split='val'):
    path = root / f'annotations/instances_{split}2014.json'
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def stem(n, split='val'):
    return f'COCO_{split}2014_{n:012d}'


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


def test_the_data_set_reads_what_was_prepared(tree):
    prepare(tree)
    train = WeakCOCODataset(data_root=str(tree))
    assert train.num_object_classes == 80
    infos = [train.get_data_info(n) for n in range(len(train))]
    assert [info['img_id'] for info in infos] == [stem(n, 'train') for n in (1, 2, 4)]
    names = [[train.object_classes[k] for k in np.flatnonzero(i['image_labels'])] for i in infos]
    assert names == [['person', 'cat', 'dining table'], ['person', 'dog', 'toothbrush'], ['tv']]
    assert 'seg_map_path' not in infos[0]


def test_a_second_run_changes_nothing_and_completes_a_broken_one(tree):
    prepare(tree)
    masks = sorted((tree / 'masks/val2014').glob('*.png'))
    before = {path: path.read_bytes() for path in tree.rglob('*') if path.is_file()}
    times = {path: path.stat().st_mtime_ns for path in masks}
    masks[1].unlink()
    prepare(tree)
    assert {path: path.read_bytes() for path in tree.rglob('*') if path.is_file()} == before
    kept = [masks[0], masks[2]]
    assert all(path.stat().st_mtime_ns == times[path] for path in kept)


def test_masks_of_other_annotations_are_not_mixed(tree):
    prepare(tree)
    before = (tree / 'labels_val.json').read_bytes()
    change(tree, lambda content: content['annotations'].pop())
    with pytest.raises(ValueError, match='masks/val2014 holds files that were not made from'):
        prepare(tree)
    assert (tree / 'labels_val.json').read_bytes() == before
    prepare(tree, out=tree / 'again')
    assert len(list((tree / 'again/masks/val2014').glob('*.png'))) == 2


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
        (first_annotation(category_id=12), 'annotation 100 of image 1 has the unknown category id'),
        (first_annotation(image_id=77), 'annotation 100 of image 77: the file lists no such image'),
        (lambda content: content.pop('annotations'), 'is not a file of COCO instances'),
        (lambda content: content['categories'].pop(), 'not the 80 of COCO.*differs: person'),
        (
            lambda content: content['images'].append(copy.deepcopy(content['images'][0])),
            'lists the image id 4 twice',
        ),
        (
            lambda content: content['images'].append(dict(content['images'][0], id=9)),
            f'lists {stem(4)}.jpg more than once',
        ),
        (
            lambda content: content['images'][0].update(file_name='../x.jpg'),
            "without a folder, got '../x.jpg'",
        ),
        (first_annotation(segmentation=[[1, 2, 3, 4]]), 'annotation 100 has no valid segm'),
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


def test_missing_or_damaged_files(tree):
    (tree / f'val2014/{stem(4)}.jpg').write_bytes(b'no picture')
    with pytest.raises(ValueError, match=f'{stem(4)}.jpg cannot be read'):
        prepare(tree, splits=['val'])
    path = Path(tree / 'annotations/instances_val2014.json')
    path.write_text('{"images": [')
    with pytest.raises(ValueError, match='is not a file of COCO instances'):
        prepare(tree)
    path.unlink()
    with pytest.raises(FileNotFoundError, match='annotations_trainval2014.zip'):
        prepare(tree)
