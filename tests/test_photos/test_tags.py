"""Tables as people have them are read, and what is wrong or doubtful is told with its row."""

import re
import sys
import zipfile
from pathlib import Path

import pytest
from mmseg.registry import DATASETS
from PIL import Image
from run_tool import run_tool

from semples_mmseg.photos.tags import read_tagged


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('image,tag\ne.jpg,dog\n', r'e.jpg \(row 2\).*--skip-missing'),
        ('image,tag\n0007,dog\n', 'there is 7.png: a spreadsheet may have dropped the zeros'),
        ('image,tag\ntest/c d.jpg,dog\n', 'there is far/c d.jpg'),
        (
            'image,what,colour\na.jpg,cat,red\n',
            'row 1.*column of the tags, one of image, what, colour',
        ),
        ('image,label,class\na.jpg,1,cat\n', 'label and class may both'),
        ('pictures of,what\nq,cat\n', 'row 1.*image'),
        ('image,cat,dog\na.jpg,1,0\nb,0,perhaps\n', 'row 3.*perhaps'),
        ('a.jpg,1,0\nb.PNG,0,1\n', 'first row that names the classes'),
        ('image,tag\nold/1/a.jpg,cat\nold/2/a.jpg,dog\n', 'row 3.*may both be the photo a.jpg'),
        ('image,tag\na.jpg,cat\nb.PNG,cat,dog\n', 'row 3.*quotes'),
        ('image,tag\na.jpg,"[\'cat\', dog]"\n', 'row 2.*list of names'),
        ('image,tag\na.jpg,Cat\nb.PNG,cat\n', 'row 3.*--map "cat=Cat"'),
        ('image,a|b\na.jpg,1\n', 'stands in --classes alone'),
        ('ImageID,Source,LabelName\na,,/m/01g317\n', 'row 2: /m/01g317.*class-descriptions.csv'),
        ('<!DOCTYPE a [<!ENTITY x "y">]><annotations/>', 'tags.csv.*document type'),
        ('<annotations><image', 'tags.csv is not an XML file'),
        ('<annotations><track/></annotations>', 'tags.csv has no <image>'),
        ('{"classes": ["cat"], "labels": {"a": 3}}', 'tags.csv is not a FiftyOne'),
        ('{"a.jpg": ["cat"', 'tags.csv is not a JSON'),
        ('{"file_name": "a.jpg", "label": 1}\n{"file_name": ', 'tags.csv, line 2'),
        ('{"file_name": "a.jpg", "label": 1}\n{}', "entry 1: the tags '1'"),
        ('PK\3\4', 'tags.csv is an archive or a spreadsheet'),
        ('\0', 'tags.csv is no text'),
        ('image,tag\na.jpg,background\n', 'row 2.*background'),
        ('image,tag\na.jpg,\n', 'no photo has a tag'),
        ('image\na.jpg\n', 'row 1'),
        ('image,tag\n,cat\n', 'row 2'),
        ('{"a.jpg": 3}', "'a.jpg'"),
        ('[{"picture of": "a.jpg"}]', 'no column is called tag'),
        ('["a.jpg"]', 'entry 1'),
        ('{"images": [{}], "annotations": [], "categories": []}', 'COCO'),
        ('{"images": [{"id": 1, "file_name": null}], "annotations": [], "categories": []}', 'None'),
        (
            '{"images": [], "annotations": [], "categories": [{"id": 1, "name": 5}]}',
            'tags.csv: the name 5',
        ),
        ('[{"image": null, "tags": ["cat"]}]', 'entry 1.*None'),
        ('[{"image": 7, "tags": ["cat"]}]', 'entry 1.*7'),
        ('image,tag\na.jpg,cat\n"b.PNG,cat\n', 'row 3.*quotes'),
        (',\n', 'no row'),
    ],
)
def test_errors_name_file_and_row(four_photos, tmp_path, text, words):
    table = tmp_path / 'tags.csv'
    table.write_text(text)
    Image.new('RGB', (8, 6)).save(four_photos / '7.png')
    with pytest.raises(ValueError, match=words):
        read_tagged(four_photos, table)


@pytest.mark.parametrize(
    ('text', 'tags', 'note'),
    [
        ('sep=;\r\nDatei;Schlagwörter\r\na.jpg;"Küche,Bär"\r\n', 'Küche,Bär', 'Windows-1252'),
        ('image\ttag\ra\tcat\r', 'cat', ''),
        (',image,tag,,\n0,a.jpg,cat,,\n', 'cat', 'not used: column 1$'),
        ('image,photographer,tag,date\na.jpg,A,cat,\n', 'cat', 'not used: photographer, date'),
        ('id,image,cat,dog,by\n1,a.jpg,x,,A\n2,b,FALSE,yes,B\n', 'cat', 'not used: id, by'),
        ('image,class 1,class 2\na.jpg,1,0\nb,0,1\n', 'class 1', ''),
        ('Bild,Schlagwort\na.jpg,Katze\n', 'Katze', ''),
        ('0,a.jpg,cat,dog\n1,b,cat\n', 'cat,dog', 'not used: column 1'),
        ('image,tag1,tag2,tag 3\na.jpg,cat,dog,\n', 'cat,dog', ''),
        ("image,tags\na.jpg,\"['cat', 'dog']\"\n", 'cat,dog', ''),
        ("image,tags\na.jpg,['cat' 'dog']\n", 'cat,dog', ''),
        ('image,tags\na.jpg,"[""caf\\u00e9"", ""dog""]"\n', 'café,dog', ''),
        ('image,tags\na.jpg,"{cat,dog}"\n', 'cat,dog', ''),
        ('image,tags\na.jpg,cat|dog\nb,a|b\n', 'cat,dog', r'\| separates tags.*row 2.*--classes'),
        ('image,tags\na.jpg,cat/dog\n', 'cat,dog', "/ separates tags.*row 2, 'cat/dog'"),
        ('image,tags\na.jpg,"cat\ndog"\n', 'cat,dog', ''),
        ('image,tag\na.jpg,cat\na,\n', 'cat', 'the tag counts: a$'),
        ('image,tag\nb,cat\na.jpg,None\nc d,-\n', '', ''),
        (
            'image,tag\nb,cat\na.jpg,cat\na,NaN\nc d,n/a\n',
            'cat',
            '2 rows not tagged .*row 4.*row 5',
        ),
        ('[{"image": "a", "tags": ["cat"]}, {"image": "b"}]', 'cat', 'not tagged.*entry 2'),
        ('[{"image": "a", "cat": true, "dog": false}]', 'cat', 'not used: dog'),
        ('{"a": ["cup\\u200b"], "b": ["dining\\u00a0table"]}', 'cup', 'invisible.*200b.*xa0'),
        ('image,tag\na.jpg,cup\u200b\nb,\ufeffcup\n', 'cup', 'invisible.*line 2'),
        ('image,tag\nC:\\photos\\A.JPG,cafe\u0301\nb,café\n', 'café', 'more than.*: 1, .*a.jpg'),
    ],
)
def test_tables_as_people_have_them(four_photos, tmp_path, text, tags, note):
    table = tmp_path / 'tags'
    encoding = 'cp1252' if '1252' in note else 'utf-16' if '\t' in text else 'utf-8'
    table.write_bytes(text.encode(encoding))
    result = read_tagged(four_photos, table)
    assert result.tags['a.jpg'] == tuple(tags.split(',') if tags else ())
    assert len(result.notes) == bool(note) and re.search(note, ''.join(result.notes))


def test_excel_files(four_photos, tmp_path, monkeypatch):
    table = tmp_path / 'tags'
    with zipfile.ZipFile(table, 'w') as file:
        file.writestr('xl/workbook.xml', 'damaged')
    with monkeypatch.context() as patch, pytest.raises(ImportError, match='save it as CSV'):
        patch.setitem(sys.modules, 'openpyxl', None)
        read_tagged(four_photos, table)
    openpyxl = pytest.importorskip('openpyxl')
    with pytest.raises(ValueError, match='cannot be read as an Excel file'):
        read_tagged(four_photos, table)
    book = openpyxl.Workbook()
    for row in (['image', 'tags', None], [7.0, 'cat; dog'], ['a.jpg', None]):
        book.active.append(row)
    book.save(table)
    Image.new('RGB', (8, 6)).save(four_photos / '7.png')
    assert dict(read_tagged(four_photos, table).tags) == {'7.png': ('cat', 'dog'), 'a.jpg': ()}


def test_classes_of_other_names_and_photos_that_are_missing(four_photos, tmp_path):
    table, classes = tmp_path / 'tags.csv', tmp_path / 'classes.txt'
    classes.write_text('player|football player\ntv/monitor\n')
    table.write_text('image,tag\na,Player;tv/monitor\nb,blurry\n')
    with pytest.raises(ValueError, match='row 2.*--map "Player=player"'):
        read_tagged(four_photos, table, classes)
    renames = [('Player', 'player'), ('blurry', '')]
    result = read_tagged(four_photos, table, classes, renames)
    assert dict(result.tags) == {'a.jpg': ('player|football player', 'tv/monitor'), 'b.PNG': ()}
    table.write_text('image,player,dog\na,1,0\n')  # a class that no photo has
    assert read_tagged(four_photos, table, classes).tags['a.jpg'] == ('player|football player',)
    table.write_text('<annotation><object><name>cat</name></object></annotation>')
    with pytest.raises(ValueError, match="'cat' is none of the classes"):
        read_tagged(four_photos, table, classes)
    table.write_text('image,tag\na,Player;tv/monitor\nb,blurry\n')
    with pytest.raises(ValueError, match="--map: no tag is called 'Plyer'.*Player"):
        read_tagged(four_photos, table, None, [('Plyer', 'player')])
    table.write_text('image,tag\na,cat\n' + ''.join(f'{i:02}.jpg,cat\n' for i in range(12)))
    result = read_tagged(four_photos, table)
    (whole,) = re.findall(r'\(all: (.*)\)', result.missing)
    assert result.missing.startswith('12 of 13 photos') and '09.jpg (row 12) ...' in result.missing
    assert Path(whole).read_text().splitlines()[-1] == '11.jpg (row 14)'
    Path(whole).unlink()


def test_a_name_of_two_photos(four_photos, tmp_path):
    Image.new('RGB', (8, 6)).save(four_photos / 'far/a.jpg')
    table = tmp_path / 'tags.csv'
    table.write_text('image,tag\nb,cat\n')
    Image.new('RGB', (8, 6)).save(four_photos / 'b.jpg')
    with pytest.raises(ValueError, match='row 2.*b.PNG, b.jpg.*with suffix'):
        read_tagged(four_photos, table)
    table.write_text('image,tag\na.jpg,cat\nfar/a.jpg,dog\n')  # the path decides
    assert dict(read_tagged(four_photos, table).tags) == {'a.jpg': ('cat',), 'far/a.jpg': ('dog',)}


def test_the_tool_makes_a_data_set(four_photos, tmp_path):
    table, out = tmp_path / 'tags.csv', tmp_path / 'mine'
    table.write_text('image,tag\na,cat\nb,dog;cat\nc d,\nä,dog\ngone.jpg,cat\n', encoding='utf-8')
    classes = tmp_path / 'classes.txt'
    classes.write_text('cat\ndog|puppy\n')
    files = dict(tags=table, out=out, classes=classes)
    arguments = (str(four_photos), *(f'--{name}={file}' for name, file in files.items()))
    with pytest.raises(ValueError, match='1 of 5 photos.*--skip-missing'):
        run_tool('dataset_converters/tags.py', *arguments)
    arguments += ('--skip-missing',)
    assert run_tool('dataset_converters/tags.py', *arguments) == 0
    dataset = DATASETS.build(
        dict(
            type='WeakLabelDataset',
            data_root=str(out),
            ann_file='list.txt',
            label_file='labels.json',
            class_names=['cat', 'dog'],
            img_suffix=['.jpg', '.PNG', '.jpeg'],
            data_prefix=dict(img_path=str(four_photos)),
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
