"""Image-level labels, what training may know, and the checks before work starts."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import ConfigDict
from mmengine.dataset import pseudo_collate
from mmseg.datasets import LoadAnnotations, PascalVOCDataset
from PIL import Image
from torch.utils.data import DataLoader

from semples_mmseg.datasets import WeakLabelDataset, weak_label
from semples_mmseg.utils.errors import Refusal, RunError
from semples_mmseg.utils.label_png import read_mask, write_mask

LABELS = {'a': ['cat'], 'b': ['cat', 'dog'], 'c': []}
CLASSES = ('cat', 'car', 'dog')
VOC = PascalVOCDataset.METAINFO
LOAD = dict(type='LoadImageFromFile', imdecode_backend='pillow')
TRAIN = [LOAD, dict(type='PackWeakInputs')]
TEST = [LOAD, dict(type='LoadCheckedAnnotations'), dict(type='PackWeakInputs')]
MASKS = dict(img_path='JPEGImages', seg_map_path='SegmentationClassAug')


@pytest.fixture
def root(make_voc_tree):
    root = make_voc_tree(LABELS)
    for path in (root / 'SegmentationClassAug').iterdir():
        mask = read_mask(path)
        for name in CLASSES:  # the masks count VOC's classes
            mask[mask == VOC['classes'].index(name)] = 1 + CLASSES.index(name)
        write_mask(path, mask)
    return root


def build(root, **kwargs):
    defaults = dict(
        data_root=str(root),
        ann_file='ImageSets/Segmentation/train.txt',
        label_file='labels.json',
        class_names=CLASSES,
        data_prefix=MASKS,
        pipeline=TEST if kwargs.get('test_mode') else TRAIN,
    )
    return WeakLabelDataset(**{**defaults, **kwargs})


def write_labels(root, labels):
    (root / 'labels.json').write_text(json.dumps(labels))


def write_split(root, text):
    (root / 'ImageSets/Segmentation/train.txt').write_text(text)


def test_items_of_both_modes(root):
    train, test = build(root), build(root, test_mode=True)
    expected = {'a': [1, 0, 0], 'b': [1, 0, 1], 'c': [0, 0, 0]}
    for dataset in (train, test):
        assert dataset.object_classes == CLASSES
        assert dataset.metainfo['classes'] == ('background', *CLASSES)
        assert dataset.metainfo['palette'] == VOC['palette'][:4]
        infos = [dataset.get_data_info(i) for i in range(len(dataset))]
        assert [info['img_id'] for info in infos] == list(LABELS)
        for info in infos:
            assert info['image_labels'].dtype == np.float32
            assert info['image_labels'].tolist() == expected[info['img_id']]
            assert Path(info['img_path']) == root / 'JPEGImages' / f'{info["img_id"]}.jpg'
    assert 'seg_map_path' not in {**train.get_data_info(0), **train.data_prefix}
    mask = root / 'SegmentationClassAug/b.png'
    assert Path(test.get_data_info(1)['seg_map_path']) == mask
    assert test.get_cat_ids(1) == [0, 2]


def test_indices_mean_object_classes(root):
    write_labels(root, {'a': [0], 'b': [2, 'cat', 'cat'], 'c': [], 'other': ['not checked']})
    dataset = build(root, test_mode=True)
    labels = [dataset.get_data_info(i)['image_labels'].tolist() for i in range(3)]
    assert labels == [[1, 0, 0], [1, 0, 1], [0, 0, 0]]


@pytest.fixture
def logged(monkeypatch):
    """What the data sets log."""
    found: list[str] = []
    monkeypatch.setattr(weak_label, 'print_log', lambda message, **_: found.append(message))
    return found


def test_negatives_and_classes_that_cannot_be_learned_are_named(root, logged):
    assert len(build(root)) == 3
    assert '1 of 3 images have no label: negatives' in logged[0] and 'shows car' in logged[1]
    assert len(build(root, skip_unlabelled=True)) == 2
    assert '1 of 3 images have no label: left out' in logged[2]
    assert len(build(root, skip_unlabelled=True, test_mode=True)) == 3
    write_labels(root, {'a': ['cat'], 'b': ['cat'], 'c': []})
    logged.clear()
    build(root, class_names=['cat'])
    assert len(logged) == 1 and 'negatives' in logged[0]
    build(root, class_names=['cat'], skip_unlabelled=True)
    assert "every image shows the only class, 'cat'" in logged[-1]
    write_labels(root, {'a': [], 'b': [], 'c': []})
    with pytest.raises(ValueError, match='no image of .*train.txt has any label'):
        build(root)


@pytest.mark.parametrize(
    'labels',
    [
        {'a': [1, 0, 0], 'b': [1, 0, 1], 'c': [0, 0, 0]},
        {'a': [1, 1], 'b': ['cat'], 'c': []},
        {'a': [1], 'b': [0], 'c': [0]},
    ],
)
def test_multi_hot_rows_are_no_indices(root, labels):
    write_labels(root, labels)
    with pytest.raises(ValueError, match='labels.json.*multi-hot'):
        build(root, class_names=CLASSES[: len(labels['a'])])


def test_masks_that_show_none_of_their_labels_are_refused(root):
    write_labels(root, {'a': ['cat'], 'b': ['cat'], 'c': ['cat']})
    masks = [root / f'SegmentationClassAug/{i}.png' for i in 'abc']
    for ids in ([0, 255], [0, 2]):  # 255 for the object; the ids of another order of classes
        for path in masks:
            write_mask(path, np.array(ids * 30)[None].repeat(40, axis=0))
        with pytest.raises(ValueError, match=r'masks and image-level labels .*a\.png .*\[1\]'):
            build(root, test_mode=True)
        build(root)  # training opens no mask
    write_mask(masks[0], np.array([0, 1] * 30)[None].repeat(40, axis=0))
    assert len(build(root, test_mode=True)) == 3
    for path in masks:
        Image.new('RGB', (60, 40)).save(path)
    with pytest.raises(ValueError, match=r'a\.png is an image of mode RGB'):
        build(root, test_mode=True)


def test_several_image_suffixes(root):
    with Image.open(root / 'JPEGImages/b.jpg') as image:
        image.save(root / 'JPEGImages/b.png')
    (root / 'JPEGImages/b.jpg').unlink()
    with pytest.raises(FileNotFoundError, match=r'b\.jpg \(there is b\.png.*img_suffix'):
        build(root)
    dataset = build(root, img_suffix=['.jpg', '.png'])
    names = [Path(dataset.get_data_info(i)['img_path']).name for i in range(3)]
    assert names == ['a.jpg', 'b.png', 'c.jpg']
    assert dataset[1]['inputs'].shape == (3, 40, 60)


def test_training_works_without_masks(root):
    shutil.rmtree(root / 'SegmentationClassAug')
    loader: DataLoader = DataLoader(
        build(root), batch_size=2, num_workers=1, collate_fn=pseudo_collate, drop_last=True
    )
    (batch,) = list(loader)
    assert [x.shape for x in batch['inputs']] == [(3, 40, 60)] * 2
    assert batch['data_samples'][1].image_labels.tolist() == [1, 0, 1]
    assert not hasattr(batch['data_samples'][0], 'gt_sem_seg')
    with pytest.raises(FileNotFoundError, match='mask missing: .*a.png.*val_dataloader=None'):
        build(root, test_mode=True)
    # Prediction without masks, e.g. to write pseudo masks, just leaves their folder out.
    plain = build(root, test_mode=True, pipeline=TRAIN, data_prefix=dict(img_path='JPEGImages'))
    assert 'seg_map_path' not in plain.get_data_info(0)


@pytest.mark.parametrize(
    'loader',
    [
        dict(type='LoadAnnotations'),
        dict(type=LoadAnnotations),
        dict(type='RandomApply', transforms=[[dict(type='LoadAnnotations')]], prob=0.5),
        ConfigDict(type='LoadBiomedicalAnnotation'),
    ],
)
def test_training_pipeline_must_not_load_annotations(root, loader):
    with pytest.raises(ValueError, match='the training path never opens a mask'):
        build(root).set_pipeline([LOAD, loader])


def test_built_transforms_are_checked_too(root):
    transforms = build(root, test_mode=True).pipeline.transforms
    with pytest.raises(ValueError, match='the training path never opens a mask'):
        build(root, pipeline=transforms)
    with pytest.raises(ValueError, match='data_prefix names no folder of masks'):
        build(root, test_mode=True, data_prefix=dict(img_path='JPEGImages'))


@pytest.mark.parametrize(
    'labels, message',
    [
        ({'a': ['catt'], 'b': [], 'c': []}, "image 'a': unknown class 'catt'; did you mean 'cat'"),
        ({'a': [3], 'b': [], 'c': []}, r'class index 3 is out of range; .* 0\.\.2'),
        ({'a': [True], 'b': [], 'c': []}, 'unknown class True'),
        ({'a': 'cat', 'b': [], 'c': []}, "expected a list of class names, got 'cat'"),
        ({'a': ['cat']}, 'labels.json: no entry for b, c of the split list .*train.txt'),
        ({'a': [], 'b.jpg': [], 'C': []}, r'b \(there is b.jpg.*c \(there is C'),
        ([['a', 'cat']], r'labels.json holds a JSON list; expected an object'),
    ],
)
def test_bad_labels(root, labels, message):
    write_labels(root, labels)
    with pytest.raises(ValueError, match=message):
        build(root)


def test_label_file_absent_or_no_json(root):
    with pytest.raises(ValueError, match='label_file is not set'):
        build(root, label_file=None)
    with pytest.raises(FileNotFoundError, match='label_file .*nothing.json does not exist'):
        build(root, label_file='nothing.json')
    (root / 'labels.json').write_text('a: cat')
    with pytest.raises(ValueError, match='labels.json is not a JSON text file'):
        build(root)


def test_missing_split_list_and_images(root):
    with pytest.raises(FileNotFoundError, match='split list .*val.txt does not exist'):
        build(root, ann_file='ImageSets/Segmentation/val.txt')
    with pytest.raises(ValueError, match='ann_file is not set'):
        build(root, ann_file='')
    write_split(root, 'a\nb\nx\nsub/y\nz\nw\n')
    with pytest.raises(FileNotFoundError, match=r'image missing: .*x.jpg.*sub/y.jpg.*\(4 in all\)'):
        build(root)
    with pytest.raises(FileNotFoundError, match='image missing: .*data_root, data_prefix img_path'):
        build(root, data_prefix=dict(img_path='Images'))


def test_ids_in_subfolders(root):
    (root / 'JPEGImages/sub').mkdir()
    (root / 'JPEGImages/a.jpg').rename(root / 'JPEGImages/sub/a.jpg')
    write_split(root, 'sub/a\n')
    write_labels(root, {'sub/a': ['car']})
    assert build(root)[0]['data_samples'].img_id == 'sub/a'


def test_damaged_files_are_named_not_replaced(root):
    for path in (root / 'JPEGImages/b.jpg', root / 'SegmentationClassAug/c.png'):
        path.write_bytes(path.read_bytes()[:-30])
    for test_mode in (False, True):
        dataset = build(root, test_mode=test_mode)
        assert dataset[0]['data_samples'].img_id == 'a'
        with pytest.raises(Refusal, match='image .*b.jpg'):
            dataset[1]
    with pytest.raises(Refusal, match='mask .*c.png'):
        dataset[2]


def test_pipeline_that_returns_none(root):
    for step, message in ((lambda results: None, 'returned None'), (abs, 'TypeError')):
        with pytest.raises(RunError, match=f'a.jpg.*{message}'):
            build(root, pipeline=[step])[0]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(class_names=None), "'background' followed by"),
        (dict(class_names=None, metainfo=dict(classes=('cat', 'dog'))), "'background' followed by"),
        (dict(metainfo=dict(classes=('background', 'cat', 'dog', 'car'))), 'differ'),
        (dict(class_names='water'), "'water' is not a registered data set"),
    ],
)
def test_classes_that_contradict(root, options, message):
    with pytest.raises(ValueError, match=message):
        build(root, **options)


def test_reading_can_be_postponed(root):
    write_split(root, '')
    dataset = build(root, lazy_init=True)
    assert dataset.object_classes == CLASSES
    with pytest.raises(ValueError, match='train.txt is empty'):
        dataset.full_init()
