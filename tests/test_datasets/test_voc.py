"""PASCAL VOC: labels from XML or JSON, masks for evaluation, and a few real files."""

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmseg.apis import MMSegInferencer
from mmseg.registry import DATASETS
from PIL import Image

from semples_mmseg.datasets import WeakVOCDataset

REPO = Path(__file__).parents[2]
CONFIG = REPO / 'configs/_base_/datasets/voc12_weak.py'
LABELS = {'2007_000001': ['person', 'dog', 'person'], '2007_000002': ['tvmonitor']}
SPLIT = 'ImageSets/Segmentation/train.txt'


@pytest.fixture
def root(make_voc_tree):
    return make_voc_tree(LABELS)


def test_xml_and_json_labels_agree(root):
    from_xml = WeakVOCDataset(SPLIT, data_root=str(root))
    from_json = WeakVOCDataset(SPLIT, data_root=str(root), label_file='labels.json')
    for i, names in enumerate(LABELS.values()):
        labels = from_xml.get_data_info(i)['image_labels']
        assert labels.shape == (20,)
        assert {from_xml.object_classes[k] for k in np.flatnonzero(labels)} == set(names)
        assert np.array_equal(labels, from_json.get_data_info(i)['image_labels'])
    assert 'seg_map_path' not in from_xml.get_data_info(0)


def test_classes_of_ones_own_in_the_layout_of_voc(root):
    for img_id, name in zip(LABELS, ('Dog', 'cup'), strict=True):
        text = f'<annotation><object><name>{name}</name></object></annotation>'
        (root / f'Annotations/{img_id}.xml').write_text(text)
    dataset = WeakVOCDataset(SPLIT, data_root=str(root), class_names=['Dog', 'cup'])
    labels = [dataset.get_data_info(i)['image_labels'].tolist() for i in range(2)]
    assert labels == [[1, 0], [0, 1]] and dataset.label_map is None
    assert dataset.metainfo['classes'] == ('background', 'Dog', 'cup')
    assert len(dataset.metainfo['palette']) == 3
    path = root / 'Annotations/2007_000001.xml'
    path.write_text(path.read_text().replace('Dog', 'DOG'))
    with pytest.raises(ValueError, match="2007_000001.*'DOG'; did you mean 'Dog'"):
        WeakVOCDataset(SPLIT, data_root=str(root), class_names=['Dog', 'cup'])


def test_subset_of_classes_drops_other_labels(root):
    metainfo = dict(classes=('background', 'tvmonitor', 'person'))
    (root / 'ints.json').write_text(json.dumps({'2007_000001': [14, 11], '2007_000002': [19]}))
    for label_file in (None, 'ints.json'):
        dataset = WeakVOCDataset(
            SPLIT, label_file, data_root=str(root), metainfo=metainfo, test_mode=True
        )
        labels = [dataset.get_data_info(i)['image_labels'].tolist() for i in range(2)]
        assert labels == [[0, 1], [1, 0]]
    assert dataset.label_map[15] == 2 and dataset.label_map[12] == 255
    assert dataset.metainfo['palette'][1] == [0, 64, 128]


ENTITIES = '<!DOCTYPE a [<!ENTITY x "cat">]><annotation><object><name>&x;</name></object>'
LAUGHS = ''.join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(9))
QUADRATIC = f'<!DOCTYPE a [<!ENTITY x "{"x" * 50_000}">]><annotation>{"&x;" * 50_000}'


@pytest.mark.parametrize(
    'text, message',
    [
        ('<annotation><object>', 'is not an XML file'),
        (ENTITIES + '</annotation>', 'declares a document type'),
        (ENTITIES.replace('"cat"', 'SYSTEM "file:///etc/passwd"'), 'declares a document type'),
        (f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><annotation>&l9;', 'declares a document type'),
        (QUADRATIC, 'declares a document type'),
        ('<annotation>' + '<object>' * 100_000, 'is not an XML file'),
        (f'<annotation><object><name>{"x" * 10**6}</name></object></annotation>', 'unknown class'),
        (f'<object>{"<object>" * 100_000}{"</object>" * 100_001}', 'expected <annotation>'),
        ('<annotation>&#0;</annotation>', 'is not an XML file'),
        ('<annotation><object/></annotation>', 'expected <annotation> with'),
        ('<annotation><object><name>persn</name></object></annotation>', "mean 'person'"),
    ],
)
def test_bad_annotations(root, text, message):
    (root / 'Annotations/2007_000002.xml').write_text(text)
    with pytest.raises(ValueError, match=f'(?s)2007_000002.*{message}'):
        WeakVOCDataset(SPLIT, data_root=str(root))


def test_missing_annotation(root):
    (root / 'Annotations/2007_000001.xml').unlink()
    with pytest.raises(FileNotFoundError, match='annotation missing: .*000001.xml.*label_file'):
        WeakVOCDataset(SPLIT, data_root=str(root))
    assert len(WeakVOCDataset(SPLIT, 'labels.json', data_root=str(root))) == 2


def config_datasets(root, split, label_file):
    cfg = Config.fromfile(CONFIG)
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.update(data_root=str(root), ann_file=split, label_file=label_file)
    train = DATASETS.build(cfg.train_dataloader.dataset)
    val = DATASETS.build(cfg.val_dataloader.dataset)
    return cfg, train, val


def test_config_pipelines(root):
    cfg, train, val = config_datasets(root, SPLIT, None)
    for pipeline in (cfg.stage_match_pipeline, cfg.stage_prompt_pipeline):
        train.set_pipeline(pipeline)
        item = train[0]
        assert item['inputs'].shape == (3, 224, 224)
        assert item['data_samples'].img_shape == (224, 224)
        assert item['data_samples'].image_labels.sum() == 2
    item = val[0]
    assert [x.shape for x in item['inputs']] == [(3, 40, 60), (3, 48, 72)]
    mask = np.array(Image.open(root / 'SegmentationClassAug/2007_000001.png'))
    assert np.array_equal(item['data_samples'].gt_sem_seg.data[0].numpy(), mask)
    assert item['data_samples'].img_id == '2007_000001'
    assert item['data_samples'].seg_map_path.endswith('SegmentationClassAug/2007_000001.png')


def test_mmseg_inferencer_takes_the_test_pipeline(root):
    # It looks for 'LoadImageFromFile' by name and drops LoadAnnotations.
    inferencer = MMSegInferencer.__new__(MMSegInferencer)
    pipeline = inferencer._init_pipeline(Config.fromfile(CONFIG))
    path = str(root / 'JPEGImages/2007_000001.jpg')
    for source in (path, np.zeros((40, 60, 3), np.uint8)):
        assert [x.shape for x in pipeline(source)['inputs']] == [(3, 40, 60), (3, 48, 72)]
