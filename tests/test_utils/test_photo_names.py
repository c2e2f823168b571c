"""A photo is found by every name that tables and label tools give it, and no other photo is."""

import pytest

from semples_mmseg.utils.photo_names import PhotoNames

PHOTOS = ['a.jpg', 'far/a.jpg', 'far/c d.JPG', 'far/ä.jpeg', 'test/b.jpg', 'x\u202fy.png']


@pytest.mark.parametrize(
    ('name', 'found'),
    {
        'a.jpg': 'a.jpg',  # the path decides
        'A': 'a.jpg',
        'FAR/C D': 'far/c d.JPG',
        'c d.jpg': 'far/c d.JPG',
        'a\u0308': 'far/ä.jpeg',
        'x y': 'x\u202fy.png',
        '\ufeffb\u200b.jpg': 'test/b.jpg',
        '{root}/a.jpg': 'a.jpg',
        'C:\\Users\\me\\far\\a.jpg': 'far/a.jpg',
        '.\\far\\a.jpg': 'far/a.jpg',
        '../photos/far/a.jpg': 'far/a.jpg',
        'train/b.jpg': None,  # there is one of test
        'b.png': None,
        '/data/local-files/?d=photos/far/%C3%A4.jpeg': 'far/ä.jpeg',
        'https://host/bucket/b.jpg?X-Signature=1': 'test/b.jpg',
        '/data/upload/3/ab12cd34-c_d.JPG': 'far/c d.JPG',
        'c-d_JPG.rf.0123456789abcdef.jpg': 'far/c d.JPG',
    }.items(),
)
def test_names_of_tables_and_tools(tmp_path, name, found):
    names = PhotoNames(PHOTOS, tmp_path)
    assert names.find(name.format(root=tmp_path)) == ([found] if found else [])


def test_a_name_of_two_photos(tmp_path):
    names = PhotoNames([*PHOTOS, 'other/a.jpg', 'other/c_d.jpg'], tmp_path)
    assert names.find('ab12cd34-c_d.jpg') == ['far/c d.JPG', 'other/c_d.jpg']
    assert PhotoNames(PHOTOS[1:3] + ['other/a.jpg'], tmp_path).find('a') == [
        'far/a.jpg',
        'other/a.jpg',
    ]
