"""Tags of all forms give the same labels."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from semples_mmseg.photos.tags import read_tagged

LABELS = {'a.jpg': ('cat',), 'b.PNG': ('cat', 'dog'), 'far/c d.jpg': (), 'far/ä.jpeg': ('dog',)}
UPLOADS = ('ab12cd34-a.jpg', 'ab12cd35-b.PNG', '3f2a9c11-c_d.jpg', '0a0b0c0d-ä.jpeg')
NAMES = dict(zip(LABELS, UPLOADS, strict=True))
STUDIO = dict(annotator=1, annotation_id=1, created_at='', updated_at='', lead_time=1.5)


def choices(tags):
    return {} if not tags else dict(animal=tags[0] if len(tags) == 1 else dict(choices=[*tags]))


ROWS = {
    'long.csv': 'image,tag\na.jpg,cat\nb.PNG,cat\nb.PNG,dog\nfar/c d.jpg,\nfar/ä.jpeg,dog\n',
    'semicolons.csv': 'Photo;Tags\na;cat\nb;"cat,dog"\nfar/c d;\nfar/ä;dog\n',
    'onehot.csv': 'image,cat,dog\na.jpg,1,0\nb.PNG,1,1\nfar/c d.jpg,0,0\nfar/ä.jpeg,0,1\n',
    'map.json': json.dumps({name: list(tags) for name, tags in LABELS.items()}),
    'metadata.jsonl': ''.join(
        f'{json.dumps(dict(file_name=name, label=tags, width=8))}\n'
        for name, tags in LABELS.items()
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
    'openimages.csv': 'ImageID,Source,LabelName,Confidence\na,human,cat,1\na,human,dog,0\n'
    'b,,cat,1\nb,,dog,1\nc d,human,cat,0\nä,human,dog,1\n',
    'fiftyone.json': json.dumps(
        dict(classes=['bird', 'cat', 'dog'], labels=dict(a=1, b=['cat', {'label': 2}], ä='dog'))
    )[:-2]
    + ', "c d": []}}',
    'studio.json': json.dumps(
        [
            dict(
                data=dict(image=f'/data/upload/1/{NAMES[name]}'),
                annotations=[
                    dict(was_cancelled=True, result=[dict(type='choices', value={})]),
                    dict(
                        result=[dict(type='choices', from_name='animal', value=dict(choices=tags))]
                    ),
                ],
            )
            for name, tags in LABELS.items()
        ]
    ),
    'studio_min.json': json.dumps(
        [dict(image=NAMES[name], **choices(tags), **STUDIO) for name, tags in LABELS.items()]
    ),
    'studio.csv': 'annotation_id,annotator,animal,created_at,id,image,lead_time,updated_at\n'
    + ''.join(
        f'1,1,"{text}",now,7,/data/local-files/?d=photos/{name},1.5,now\n'
        for name, text in zip(
            LABELS, ('cat', '{""choices"":[""cat"",""dog""]}', '', 'dog'), strict=True
        )
    ),
    'cvat.xml': '<annotations>'
    + ''.join(
        f'<image name="{name}">{"".join(f"<tag label={tag!r}/>" for tag in tags)}</image>'
        for name, tags in LABELS.items()
    )
    + '</annotations>',
}


@pytest.mark.parametrize('name', ROWS)
def test_all_forms_say_the_same(four_photos, tmp_path, name):
    table = tmp_path / 'a table'  # the form is told by the content alone
    for text, encoding in (
        (ROWS[name], 'utf-8'),
        (ROWS[name].replace('ä', 'a\u0308'), 'utf-8-sig'),
    ):
        table.write_text(text, encoding=encoding)
        result = read_tagged(four_photos, table)
        assert dict(result.tags) == LABELS
        assert result.classes == ('cat', 'dog')
        assert result.untagged == ()


def test_folders_of_annotations(four_photos, tmp_path):
    for name, tags in LABELS.items():
        objects = ''.join(f'<object><name>{tag}</name></object>' for tag in (*tags, *tags))
        flags = dict(cat='cat' in tags, dog=False, bird=False)
        shapes = [dict(label='dog')] if 'dog' in tags else []
        where = '../' * name.count('/') + '../photos/' + name
        labelme = dict(imagePath=where.replace('/', '\\'), flags=flags, shapes=shapes)
        for folder, text in (
            ('voc.xml', f'<annotation>{objects}</annotation>'),
            ('labelme.json', json.dumps(labelme)),
        ):
            file = (tmp_path / folder / name).with_suffix(Path(folder).suffix)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        for tag in tags or ('no_label',):
            copy = tmp_path / 'ImageNet' / tag / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(four_photos / name, copy)
    for folder in ('voc.xml', 'labelme.json', 'ImageNet'):
        result = read_tagged(four_photos, tmp_path / folder)
        assert dict(result.tags) == LABELS and result.classes == ('cat', 'dog'), folder
    copies = read_tagged(tmp_path / 'ImageNet', None)
    assert copies.tags['dog/b.PNG'] == copies.tags['cat/b.PNG'] == ('cat', 'dog')
    assert copies.tags['no_label/far/c d.jpg'] == () and 'copies' in copies.notes[0]
    with pytest.raises(ValueError, match='train in .* is no class'):
        read_tagged(shutil.copytree(tmp_path / 'ImageNet', tmp_path / 'x/train').parent, None)


def test_a_list_of_classes(four_photos, tmp_path):
    file, classes = tmp_path / 'tags.csv', tmp_path / 'classes.txt'
    file.write_text('image,tag\na,cat\nb,dog;cat\nfar/c d,\n')
    with pytest.raises(FileNotFoundError, match='--classes'):
        read_tagged(four_photos, file, classes)
    classes.write_text('dog\ncat\n')
    result = read_tagged(four_photos, file, classes)
    assert result.tags['b.PNG'] == ('dog', 'cat') and result.classes == ('dog', 'cat')
    assert result.untagged == ('far/ä.jpeg',)
    file.write_text('image,tag\na,cow\n')
    with pytest.raises(ValueError, match="row 2.*'cow'"):
        read_tagged(four_photos, file, classes)


def test_a_folder_per_class(tmp_path):
    for name in ('cat/1.jpg', 'cat/2.jpg', 'player/1.jpg'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new('RGB', (8, 6 + len(name))).save(tmp_path / name)
    result = read_tagged(tmp_path, None)
    assert result.classes == ('cat', 'player')
    assert result.tags['player/1.jpg'] == ('player',)
    Image.new('RGB', (8, 6)).save(tmp_path / 'alone.jpg')
    with pytest.raises(ValueError, match='alone.jpg.*--tags'):
        read_tagged(tmp_path, None)
