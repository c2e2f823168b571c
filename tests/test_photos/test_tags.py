"""Tag tables of all forms give the same labels; what is wrong is named with its row."""

import json
from pathlib import Path

import numpy as np
import pytest
from mmseg.registry import DATASETS
from PIL import Image
from run_tool import run_tool

from semples_mmseg.photos.tags import read_tagged

LABELS = {
    'a.jpg': ('cat',),
    'b.PNG': ('cat', 'dog'),
    'far/c d.jpg': (),
    'far/ä.jpeg': ('dog',),
}
ROWS = {
    'long.csv': 'image,tag\na.jpg,cat\nb.PNG,cat\nb.PNG,dog\nfar/c d.jpg,\nfar/ä.jpeg,dog\n',
    'long.tsv': 'file\tlabel\na.jpg\tcat\nb.PNG\tcat\nb.PNG\tdog\nc d\t\nä\tdog\n',
    'list.csv': 'image,tags\na.jpg,cat\nb.PNG,"cat;dog"\nfar/c d.jpg,\nfar/ä.jpeg,dog\n',
    'semicolons.csv': 'Photo;Tags\na;cat\nb;"cat,dog"\nfar/c d;\nfar/ä;dog\n',
    'bare.csv': 'a.jpg,cat\nb.PNG,cat,dog\nfar/c d.jpg,\nfar/ä.jpeg,dog\n',
    'onehot.csv': 'image,cat,dog\na.jpg,1,0\nb.PNG,1,1\nfar/c d.jpg,0,0\nfar/ä.jpeg,0,1\n',
    'map.json': json.dumps({name: list(tags) for name, tags in LABELS.items()}),
    'records.json': json.dumps(
        [{'image': name, 'tags': ';'.join(tags)} for name, tags in LABELS.items()]
    ),
    'coco.json': json.dumps(
        dict(
            images=[dict(id=n, file_name=name) for n, name in enumerate(LABELS)],
            categories=[dict(id=5, name='cat'), dict(id=9, name='dog')],
            annotations=[
                dict(image_id=n, category_id={'cat': 5, 'dog': 9}[tag])
                for n, tags in enumerate(LABELS.values())
                for tag in tags
            ],
        )
    ),
}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / 'photos'
    for name in LABELS:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (8, 6)).save(root / name)
    (root / '._a.jpg').write_bytes(b'of a file system')
    (root / 'notes.txt').write_text('no photo')
    return root


@pytest.mark.parametrize('name', ROWS)
def test_all_forms_say_the_same(photos: Path, tmp_path: Path, name: str) -> None:
    table = tmp_path / 'a table'  # the form is told by the content alone
    for text, encoding in (
        (ROWS[name], 'utf-8'),
        (ROWS[name].replace('ä', 'a\u0308'), 'utf-8-sig'),
    ):
        table.write_text(text, encoding=encoding)
        result = read_tagged(photos, table)
        assert dict(result.tags) == LABELS
        assert result.classes == ('cat', 'dog')
        assert result.untagged == ()


def test_voc_xml(photos: Path, tmp_path: Path) -> None:
    for name, tags in LABELS.items():
        file = (tmp_path / 'xml' / name).with_suffix('.xml')
        file.parent.mkdir(parents=True, exist_ok=True)
        objects = ''.join(f'<object><name>{tag}</name></object>' for tag in (*tags, *tags))
        file.write_text(f'<annotation>{objects}</annotation>')
    assert dict(read_tagged(photos, tmp_path / 'xml').tags) == LABELS


def test_cls_labels_and_a_list_of_classes(photos: Path, tmp_path: Path) -> None:
    file, classes = tmp_path / 'cls_labels.npy', tmp_path / 'classes.txt'
    np.save(file, {'a': np.array([0.0, 1]), 'b': np.ones(2), 'far/c d': np.zeros(2)})
    with pytest.raises(ValueError, match='--classes'):
        read_tagged(photos, file)
    with pytest.raises(FileNotFoundError, match='--classes: there is no file'):
        read_tagged(photos, file, classes)
    classes.write_text('dog\ncat\n')
    result = read_tagged(photos, file, classes)
    assert dict(result.tags) == {'a.jpg': ('cat',), 'b.PNG': ('dog', 'cat'), 'far/c d.jpg': ()}
    assert result.untagged == ('far/ä.jpeg',) and result.classes == ('dog', 'cat')
    file.write_text('image,tag\na,cow\n')
    with pytest.raises(ValueError, match="row 2.*'cow'"):
        read_tagged(photos, file, classes)


def test_a_folder_per_class(tmp_path: Path) -> None:
    for name in ('cat/1.jpg', 'cat/2.jpg', 'person|player/1.jpg'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new('RGB', (8, 6)).save(tmp_path / name)
    result = read_tagged(tmp_path, None)
    assert result.classes == ('cat', 'person|player')
    assert result.tags['person|player/1.jpg'] == ('person|player',)
    Image.new('RGB', (8, 6)).save(tmp_path / 'alone.jpg')
    with pytest.raises(ValueError, match='alone.jpg.*--tags'):
        read_tagged(tmp_path, None)


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('image,tag\na.jpg,cat\ne.jpg,dog\n', r"row 3.*'e.jpg'"),
        ('image,tag,colour\na.jpg,cat,red\n', 'row 1.*colour'),
        ('picture of,what\na.jpg,cat\n', 'row 1.*image'),
        ('image,cat,dog\na.jpg,1,perhaps\n', 'row 2.*perhaps'),
        ('image,cat,dog\na.jpg,1\n', 'row 2.*2 cells'),
        ('image,tag\na.jpg,cat\nb.PNG,cat,dog\n', 'row 3.*quotes'),
        ('image,tag\na.jpg,Cat\nb.PNG,cat\n', "'Cat'.*'cat'|'cat'.*'Cat'"),
        ('image,tag\na.jpg,background\n', 'row 2.*background'),
        ('image,tag\na.jpg,\n', 'no photo has a tag'),
        ('image\na.jpg\n', 'row 1'),
        ('image,tag\n,cat\n', 'row 2'),
        ('{"a.jpg": 3}', "'a.jpg'"),
        ('[{"picture of": "a.jpg"}]', 'entry 1'),
        ('{"images": [{}], "annotations": [], "categories": []}', 'COCO'),
        ('{"images": [{"id": 1, "file_name": null}], "annotations": [], "categories": []}', 'None'),
        ('{"images": [], "annotations": [], "categories": [{"id": 1, "name": 5}]}', 'name 5'),
        ('[{"image": null, "tags": ["cat"]}]', 'entry 1.*None'),
        ('[{"image": 7, "tags": ["cat"]}]', 'entry 1.*7'),
        ('image,tag\na.jpg,cat\n"b.PNG,cat\n', 'row 3.*quotes'),
        (',\n', 'no row'),
    ],
)
def test_errors_name_file_and_row(photos: Path, tmp_path: Path, text: str, words: str) -> None:
    table = tmp_path / 'tags.csv'
    table.write_text(text)
    with pytest.raises(ValueError, match=words):
        read_tagged(photos, table)


def test_a_name_of_two_photos(photos: Path, tmp_path: Path) -> None:
    Image.new('RGB', (8, 6)).save(photos / 'far/a.jpg')
    table = tmp_path / 'tags.csv'
    table.write_text('image,tag\na,cat\n')
    with pytest.raises(ValueError, match='row 2.*far/a.jpg'):
        read_tagged(photos, table)
    table.write_text('image,tag\na.jpg,cat\nfar/a.jpg,dog\n')  # the path decides
    assert dict(read_tagged(photos, table).tags) == {'a.jpg': ('cat',), 'far/a.jpg': ('dog',)}


def test_the_tool_makes_a_data_set(photos: Path, tmp_path: Path) -> None:
    table, out = tmp_path / 'tags.csv', tmp_path / 'mine'
    table.write_text(ROWS['list.csv'].replace('dog', 'dog|puppy'), encoding='utf-8')
    arguments = (str(photos), '--tags', str(table), '--out', str(out))
    assert run_tool('dataset_converters/tags.py', *arguments) == 0
    dataset = DATASETS.build(
        dict(
            type='WeakLabelDataset',
            data_root=str(out),
            ann_file='list.txt',
            label_file='labels.json',
            class_names=['cat', 'dog'],
            img_suffix=['.jpg', '.PNG', '.jpeg'],
            data_prefix=dict(img_path=str(photos)),
            test_mode=True,
        )
    )
    labels = {i['img_id']: i['image_labels'].tolist() for i in map(dataset.get_data_info, range(4))}
    assert labels == {'a': [1, 0], 'b': [1, 1], 'far/c d': [0, 0], 'far/ä': [0, 1]}
    assert (out / 'classes.txt').read_text() == 'cat\ndog|puppy\n'
    # the same again is fine, other labels are not written over
    assert run_tool('dataset_converters/tags.py', *arguments) == 0
    table.write_text('image,tag\na.jpg,cat\n')
    labels = (out / 'labels.json').read_text()
    with pytest.raises(ValueError, match='labels.b'):
        run_tool('dataset_converters/tags.py', *arguments)
    (out / 'record.json').unlink()  # a list that was made by hand
    with pytest.raises(FileExistsError, match='list.txt'):
        run_tool('dataset_converters/tags.py', *arguments)
    assert (out / 'labels.json').read_text() == labels
    assert run_tool('dataset_converters/tags.py', *arguments, '--overwrite') == 0
    assert (out / 'list.txt').read_text() == 'a\n'
