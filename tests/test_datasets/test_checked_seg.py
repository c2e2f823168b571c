"""The data set of retraining: what does not fit is said at once."""

import numpy as np
import pytest
from mmseg.datasets import PascalVOCDataset
from mmseg.registry import DATASETS
from PIL import Image

from semples_mmseg.datasets import CheckedSegDataset, checked_seg
from semples_mmseg.utils.errors import Refusal

IDS = {'2007_000001': ['cat'], '2007_000002': ['dog']}
PIPELINE = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]


def build(root, masks='SegmentationClassAug', **options):
    prefix = dict(img_path=str(root / 'JPEGImages'))
    if masks:
        prefix['seg_map_path'] = str(root / masks)
    return DATASETS.build(
        dict(
            type='CheckedSegDataset',
            class_names='PascalVOCDataset',
            ann_file=str(root / 'ImageSets/Segmentation/train.txt'),
            data_prefix=prefix,
            pipeline=PIPELINE,
        )
        | options
    )


def test_items_and_classes_are_those_of_mmseg(make_voc_tree):
    root = make_voc_tree(IDS)
    data = build(root)
    original = PascalVOCDataset(
        ann_file=data.ann_file, data_prefix=data.data_prefix, pipeline=PIPELINE
    )
    assert len(data) == len(original) == 2
    for key in ('classes', 'palette', 'label_map'):
        assert data.metainfo[key] == original.metainfo[key]
    for own, other in zip(data, original, strict=True):
        assert own['inputs'].equal(other['inputs'])
        assert own['data_samples'].gt_sem_seg.data.equal(other['data_samples'].gt_sem_seg.data)


def test_an_empty_folder_of_pseudo_masks_is_named_before_any_work(make_voc_tree):
    root = make_voc_tree(IDS)
    (root / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match=r'mask missing: .*empty/2007_000001.png.*make_ps'):
        build(root, masks='empty')


def test_a_mask_with_an_id_of_no_class_is_named(make_voc_tree):
    root = make_voc_tree(IDS)
    path = root / 'SegmentationClassAug/2007_000002.png'
    mask = np.array(Image.open(path))
    mask[20, 30] = 21
    Image.fromarray(mask).save(path)
    data = build(root)
    assert data[0] is not None
    with pytest.raises(ValueError, match='2007_000002.png: the mask holds the id 21; .*20'):
        data[1]


def test_background_that_is_a_class_cannot_be_reduced(make_voc_tree):
    root = make_voc_tree(IDS)
    with pytest.raises(Refusal, match='reduce_zero_label'):
        build(root, reduce_zero_label=True)


def test_renamed_ids_are_checked_too(make_voc_tree):
    """Masks of 0 and 255 whose ids a label map renames."""
    root = make_voc_tree({f'a{i}': ['cat'] for i in range(3)})
    for path in (root / 'SegmentationClassAug').iterdir():
        Image.fromarray(np.full((40, 60), [0, 255] * 30, np.uint8)).save(path)
    few = dict(class_names=None, metainfo=dict(classes=('background', 'cat')))

    class Renamed(CheckedSegDataset):
        METAINFO = PascalVOCDataset.METAINFO

    with pytest.raises(Refusal, match='255 means ignored'):
        build(root, type=Renamed, **few)


def test_masks_without_classes_are_refused(make_voc_tree):
    root = make_voc_tree({f'a{i}': ['cat'] for i in range(3)})
    for path in (root / 'SegmentationClassAug').iterdir():
        mask = np.array(Image.open(path))
        Image.fromarray(np.where(mask > 0, 255, 0).astype(np.uint8)).save(path)
    own = dict(class_names=['cat'])
    with pytest.raises(ValueError, match=r'masks hold no class: .*a0\.png.*255 means ignored'):
        build(root, **own)
    for other in path.parent.iterdir():
        Image.fromarray(np.zeros((40, 60), np.uint8)).save(other)
    with pytest.raises(ValueError, match=r'all 3 masks, .* are background alone'):
        build(root, **own)
    Image.fromarray(np.ones((40, 60), np.uint8)).save(path)
    data = build(root, **own)
    assert data.metainfo['palette'] == [[0, 0, 0], [128, 0, 0]]


def test_classes_of_metainfo_take_the_place_of_an_inherited_data_set(make_voc_tree):
    root = make_voc_tree(IDS)
    own = dict(classes=('background', 'cup', 'key'), palette=[[0, 0, 0], [9, 9, 9], [8, 8, 8]])
    assert build(root, class_names='WeakVOCDataset', metainfo=own).metainfo['palette'][1] == [9] * 3
    with pytest.raises(ValueError, match='differ'):
        build(root, class_names=['key', 'cup'], metainfo=own)


def test_a_folder_without_a_list(make_voc_tree, monkeypatch):
    logged = []
    monkeypatch.setattr(checked_seg, 'print_log', lambda message, **_: logged.append(message))
    root = make_voc_tree(IDS)
    (root / 'JPEGImages/._2007_000001.jpg').write_bytes(b'x')
    Image.new('RGB', (9, 9)).save(root / 'JPEGImages/other.PNG')
    options = dict(masks=None, ann_file='', test_mode=True, pipeline=[])
    assert [info['img_id'] for info in build(root, **options).load_data_list()] == sorted(IDS)
    assert any('1 photos' in message for message in logged)
    names = build(root, img_suffix=['.jpg', '.PNG'], **options).load_data_list()
    assert [info['img_id'] for info in names] == [*sorted(IDS), 'other']
