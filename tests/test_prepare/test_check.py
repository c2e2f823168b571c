"""The dataset check finds what was broken on purpose, and nothing else."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image
from run_tool import run_tool

from semples_mmseg.prepare.check import FINDINGS, check_dataset
from semples_mmseg.prepare.named import dataset_of_folders, datasets_of_config
from semples_mmseg.utils.label_png import write_mask

REPO = Path(__file__).parents[2]
TOOL = 'analysis/check_dataset.py'
LABELS = {'a': ['dog', 'person'], 'b': ['tvmonitor'], 'c': ['person'], 'd': []}
LIST = 'ImageSets/Segmentation/train.txt'


@pytest.fixture
def root(make_voc_tree):
    return make_voc_tree(LABELS)


def check(root, workers=1, **options):
    defaults = dict(
        images='JPEGImages',
        dataset='voc',
        root=str(root),
        ann_file=LIST,
        label_file='labels.json',
        masks='SegmentationClassAug',
    )
    dataset = dataset_of_folders(**{**defaults, **options})  # type: ignore[arg-type]
    return check_dataset(dataset, 'set', workers)


def found(report):
    assert tuple(report.findings) == FINDINGS
    return {kind: images for kind, images in report.findings.items() if images}


def test_clean_set_and_its_counts(root):
    for workers in (1, 2):
        report = check(root, workers)
        assert report.clean and found(report) == {} and report.images == 4
        for counts in (report.labelled, report.masked):
            assert counts is not None and len(counts) == 20
            assert {k: n for k, n in counts.items() if n} == dict(dog=1, person=2, tvmonitor=1)
        assert list(report.notes['images with an empty list of labels']) == ['d']


@pytest.mark.parametrize('options', [dict(label_file=None), dict(ann_file=''), dict(masks=None)])
def test_annotations_no_list_no_masks(root, options):
    report = check(root, **options)
    assert report.clean and report.images == 4 and report.labelled['person'] == 2
    assert (report.masked is None) == ('masks' in options)


def test_everything_that_can_be_wrong(root):
    images, masks = root / 'JPEGImages', root / 'SegmentationClassAug'
    for i in 'efghij':
        for folder, end in ((images, 'jpg'), (masks, 'png')):
            shutil.copy(folder / f'c.{end}', folder / f'{i}.{end}')
    (images / 'a.jpg').unlink()
    (images / 'b.jpg').write_bytes((images / 'b.jpg').read_bytes()[:-200])
    (images / 'c.jpg').write_text('no image')
    (masks / 'd.png').unlink()
    (masks / 'e.png').write_bytes((masks / 'e.png').read_bytes()[:-30])
    write_mask(masks / 'f.png', np.array([[0, 15, 77, 200, 255]] * 40).repeat(12, axis=1))
    write_mask(masks / 'g.png', np.full((60, 40), 15))
    (root / LIST).write_text('\n'.join('abcdefghij'))
    labels = {i: ['person'] for i in 'bcdefgj'} | {'h': ['persn'], 'i': 7, 'z': ['dog']}
    (root / 'labels.json').write_text(json.dumps(labels))

    report = check(root)
    assert not report.clean
    assert {kind: set(images) for kind, images in found(report).items()} == {
        'images missing': {'a'},
        'images without labels': {'a'},
        'images unreadable': {'b', 'c'},
        'labels without images': {'z'},
        'labels unreadable': {'h', 'i'},
        'masks missing': {'d'},
        'masks unreadable': {'e'},
        'mask values out of range': {'f'},
        'sizes of image and mask differ': {'g'},
    }
    details = report.findings
    assert 'truncated' in details['images unreadable']['b']
    assert "unknown class 'persn'; did you mean 'person'" in details['labels unreadable']['h']
    assert '[77, 200]; expected 0..20 and 255' in details['mask values out of range']['f']
    assert details['sizes of image and mask differ']['g'].startswith('image 60x40, mask 40x60')
    note = report.notes['labels and mask name different classes']
    assert note == {'b': 'labels: person; mask: tvmonitor'}
    assert report.labelled['person'] == 7 and report.labelled['dog'] == 0


def test_bad_annotations_are_told_from_the_good(root):
    (root / 'Annotations/a.xml').unlink()
    (root / 'Annotations/b.xml').write_text('<html/>')
    report = check(root, label_file=None)
    assert set(found(report)) == {'labels unreadable'}
    assert set(report.findings['labels unreadable']) == {'a', 'b'}
    assert {k: n for k, n in report.labelled.items() if n} == dict(person=1)


def test_classes_of_ones_own(root):
    (root / 'labels.json').write_text(json.dumps(dict(a=['cup'], b=['cup', 'key'], c=[], d=[0])))
    report = check(root, dataset=None, classes=['cup', 'key'], masks=None)
    assert report.clean and report.labelled == dict(cup=3, key=1)
    report = check(root, dataset=None, classes=['cup', 'key'])
    assert set(report.findings['mask values out of range']) == {'a', 'b', 'c'}


def test_systematic_disagreement_of_labels_and_masks(root):
    (root / LIST).write_text('a\nb\nc\n')
    (root / 'labels.json').write_text(json.dumps(dict.fromkeys('abc', ['cup'])))
    own = dict(dataset=None, classes=['cup'])
    kind = 'classes that labels and masks disagree on'
    for i in 'abc':
        write_mask(root / f'SegmentationClassAug/{i}.png', np.array([[0, 255] * 30] * 40))
    report = check(root, **own)
    assert list(found(report)) == [kind]
    assert '0 of 3' in report.findings[kind]['cup'] and '255' in report.findings[kind]['cup']
    write_mask(root / 'SegmentationClassAug/a.png', np.array([[0, 1] * 30] * 40))
    assert check(root, **own).clean  # a third agree: a note


def test_classes_in_another_order(make_voc_tree):
    labels = {f'p{n}': [['cat'], ['dog'], ['cat', 'dog']][n % 3] for n in range(12)}
    root = make_voc_tree(labels)
    for img_id, names in labels.items():
        ids = [dict(cat=2, dog=1)[name] for name in names]
        write_mask(root / f'SegmentationClassAug/{img_id}.png', np.array([[0, *ids] * 60] * 40))
    kind = 'classes that labels and masks disagree on'
    assert set(check(root, dataset=None, classes=['cat', 'dog']).findings[kind]) == {'cat', 'dog'}
    assert not check(root, dataset=None, classes=['dog', 'cat']).findings[kind]
    # the data set itself refuses them too
    options = dict(images='JPEGImages', masks='SegmentationClassAug', label_file='labels.json')
    data = dataset_of_folders(**options, root=str(root), ann_file=LIST, classes=['cat', 'dog'])
    with pytest.raises(ValueError, match="labelled 'cat' .* have the id 2 of 'dog'"):
        data.full_init()


def test_pictures_of_another_bit_depth(root):
    grey = np.linspace(0, 4095, 2400).astype(np.uint16).reshape(40, 60)
    for i in 'abc':
        Image.fromarray(grey).save(root / f'JPEGImages/{i}.jpg', format='PNG')
    assert set(found(check(root))['images almost black']) == {*'abc'}
    Image.fromarray(grey * 16).save(root / 'JPEGImages/a.jpg', format='PNG')
    assert check(root).clean  # half of the images may be dark


def test_suffixes_and_hidden_files(root):
    images = root / 'JPEGImages'
    (images / 'a.jpg').rename(images / 'a.JPG')
    (images / '._b.jpg').write_bytes(b'x')
    (images / 'b.png').write_bytes(b'a mask beside its photo')
    report = check(root, ann_file='')
    assert report.images == 3
    assert {k: list(v) for k, v in found(report).items()} == {
        'images with another suffix': ['a.JPG'],
        'labels without images': ['a'],
    }
    report = check(root, ann_file='', img_suffix=['.jpg', '.JPG'])
    assert report.clean and report.images == 4
    (images / 'a\\b.jpg').write_bytes((images / 'b.jpg').read_bytes())
    odd = check(root, ann_file='', img_suffix=['.jpg', '.JPG'])
    assert odd.images == 4 and found(odd) == {
        'images whose name is no image id': {"'a\\\\b'": 'rename the file'}
    }
    assert 'there is a.JPG' in check(root).findings['images missing']['a']


def test_data_sets_of_a_config(root):
    config = Config.fromfile(REPO / 'configs/_base_/datasets/voc12_weak.py')
    for key in ('train', 'val', 'test', 'pseudo_mask'):
        config[f'{key}_dataloader'].dataset.update(data_root=str(root), ann_file=LIST)
    inner = config.train_dataloader.dataset
    config.train_dataloader.dataset = dict(type='RepeatDataset', times=2, dataset=inner)
    datasets = datasets_of_config(config)
    # the images alone, and the images with masks; the other two loaders repeat them
    assert list(datasets) == ['train_dataloader', 'val_dataloader']
    reports = {k: check_dataset(dataset, k, 1) for k, dataset in datasets.items()}
    assert reports['train_dataloader'].masked is None
    assert reports['val_dataloader'].masked is not None
    assert all(report.clean for report in reports.values())
    with pytest.raises(ValueError, match='no dataloader over a data set with image-level labels'):
        datasets_of_config(Config(dict(train_dataloader=dict(dataset=dict(type='ADE20KDataset')))))


def test_command_line(root, tmp_path, capsys):
    options = ['--dataset', 'voc', '--root', root, '--list', LIST, '--labels', 'labels.json']
    options += ['--masks', 'SegmentationClassAug', '--workers', '1']
    assert run_tool(TOOL, *options) == 0
    out = capsys.readouterr().out
    assert '4 images' in out and 'tvmonitor' in out and 'not clean' not in out

    path = root / 'JPEGImages/c.jpg'
    path.write_bytes(path.read_bytes()[:-200])
    file = tmp_path / 'findings.json'
    assert run_tool(TOOL, *options, '--json', file) == 1
    out = capsys.readouterr().out
    assert 'images unreadable' in out and 'not clean' in out
    (written,) = json.loads(file.read_text())
    assert list(written['findings']['images unreadable']) == ['c'] and written['clean'] is False
    assert written['labelled']['person'] == 2 and written['masked']['person'] == 2


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--labels', 'none.json'], 'none.json does not exist'),
        (['--images', 'none'], 'none does not exist'),
        (['--image-suffix', '.tif'], '.tif'),
        (['--dataset', 'vok'], "no weakly labelled data set is called 'vok'"),
        (['--classes', 'cup'], '--labels'),
        (['--config', 'none.py'], 'none.py'),
    ],
)
def test_nothing_to_check(root, options, message):
    what = (
        ['--dataset', 'voc'] if {'--dataset', '--classes', '--config'}.isdisjoint(options) else []
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        run_tool(TOOL, *what, '--root', root, *options)
