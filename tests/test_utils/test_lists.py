"""Image ids, class names, split lists, label files, and files that are missing."""

import os
import unicodedata

import pytest

from semples_mmseg.datasets.weak_label import read_label_file
from semples_mmseg.utils.label_png import mask_path
from semples_mmseg.utils.lists import (
    explain_unknown,
    files_below,
    find_images,
    find_photos,
    missing_files,
    name_missing,
    read_image_ids,
)
from semples_mmseg.utils.names import check_class_names, check_image_id

GOOD = ('a', '2007_000032', 'train2014/COCO_x', '-rf', "it's", 'a"b', 'a..b', '鳥', '$(x)', '*')
BAD = (
    '', '.', '..', '../../x', '/etc/passwd', 'a/../../b', 'a/./b', 'a//b', 'a/', 'C:\\x', 'C:x',
    'a\\b', 'x\0y', 'x\ny', 'x\x1b[2J', '\ud800', 'x' * 201, 'x/' * 32 + 'x', None, 7,
)  # fmt: skip


def test_ids_stay_in_their_folder(tmp_path):
    for img_id in GOOD:
        assert check_image_id(img_id, 'here') == img_id
        path = mask_path(tmp_path, img_id)
        assert path.resolve() == path and tmp_path in path.parents
    for img_id in BAD:
        with pytest.raises(ValueError, match='^here: .*image id'):
            check_image_id(img_id, 'here')
        with pytest.raises(ValueError, match=f'masks in {tmp_path}'):
            mask_path(tmp_path, img_id)


def test_class_names_are_single_lines_and_differ():
    check_class_names(['cat', 'a/b', '"x"', "l'oiseau", '鳥', '../../x'], 'here')
    for wrong in ('', ' ', 'a\nb', 'a\x1b[2J', 'a\u2028b', 'x' * 201, None, 3):
        with pytest.raises(ValueError, match='^here: '):
            check_class_names(['cat', wrong], 'here')
    with pytest.raises(ValueError, match="here names a class twice: 'cat'"):
        check_class_names(['cat', 'dog', 'cat'], 'here')


def test_lists_and_labels_with_ids_that_leave_are_refused(tmp_path):
    path = tmp_path / 'x.txt'
    path.write_bytes(b'\xef\xbb\xbfa\r\nb\r\n')
    assert read_image_ids(str(path)) == ['a', 'b']
    path.write_text('a\n../../x\n')
    with pytest.raises(ValueError, match=r"x.txt: image id '../../x' leaves the image folder"):
        read_image_ids(str(path))
    for text, words in {
        '{"../x": []}': 'leaves the image folder',
        '{"a": ["cat"], "a": []}': "key 'a' is repeated",
        '{"a": [NaN]}': 'NaN is not a number',
        '[' * 100_000: 'not a JSON',
    }.items():
        path.write_text(text)
        with pytest.raises(ValueError, match=f'x.txt.*({words})'):
            read_label_file(str(path), 1)


def test_links_in_circles_come_to_an_end(tmp_path):
    (tmp_path / 'real').mkdir()
    (tmp_path / 'real/a.jpg').touch()
    (tmp_path / 'real/again').symlink_to(tmp_path)
    (tmp_path / 'other').symlink_to('real')
    (tmp_path / 'loop').symlink_to('loop')
    (tmp_path / 'b.jpg').symlink_to('b.jpg')
    (tmp_path / 'c.jpg').symlink_to('nowhere')
    os.mkfifo(tmp_path / 'd.jpg')
    found = files_below(tmp_path, 'a.jpg')
    assert len(found) == 1 and (tmp_path / found[0]).samefile(tmp_path / 'real/a.jpg')
    paths = [str(tmp_path / name) for name in ('real/a.jpg', 'b.jpg', 'c.jpg', 'd.jpg', 'loop/x')]
    assert missing_files(paths) == paths[1:]


def test_a_line_is_an_id_with_its_spaces(tmp_path):
    path = tmp_path / 'x.txt'
    path.write_text('my photo 1\nphoto 0\n  b c  \n')
    assert read_image_ids(str(path)) == ['my photo 1', 'photo 0', 'b c']
    for text, words in {'\n \n': 'is empty', 'a\nb\na\n': 'lists a more than once'}.items():
        path.write_text(text)
        with pytest.raises(ValueError, match=f'x.txt {words}'):
            read_image_ids(str(path))
    path.write_text('2007_000001 -1\n2007_000002  1\n')
    with pytest.raises(ValueError, match="x.txt: .*'2007_000001 -1'; this is a VOC list"):
        read_image_ids(str(path))


def test_an_odd_name_stops_no_other_photo(tmp_path):
    odd = ('a\\b.jpg', os.fsdecode(b'caf\xe9.jpg'), 'x' * 220 + '.jpg')
    for name in ('a.jpg', *odd):
        (tmp_path / name).touch()
    with pytest.warns(UserWarning, match='left out in .*3 photos .*x.* rename'):
        assert find_photos(tmp_path) == ['a.jpg']


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
    (tmp_path / 'closed').mkdir()
    scan = os.scandir

    def scandir(folder):
        if os.fspath(folder).endswith('closed/'):
            raise PermissionError(13, 'Permission denied', os.fspath(folder))
        return scan(folder)

    monkeypatch.setattr(os, 'scandir', lambda folder: scandir(f'{folder}/'))
    with pytest.raises(PermissionError, match='closed'):
        files_below(tmp_path, '')


def test_hidden_files_are_no_images(tmp_path, monkeypatch):
    (tmp_path / '.ipynb_checkpoints').mkdir()
    for name in ('a.jpg', '._a.jpg', 'b.png', '.ipynb_checkpoints/a-checkpoint.jpg', 'b.JPG'):
        (tmp_path / name).touch()
    assert files_below(tmp_path, '.jpg') == ['a.jpg']
    monkeypatch.chdir(tmp_path)
    assert files_below('', '.jpg') == ['a.jpg']
    assert files_below(tmp_path, ('.jpg', '.JPG')) == ['a.jpg', 'b.JPG']
    paths, missing = find_images(str(tmp_path), 'abc', ['.jpg', '.JPG', '.png'])
    assert [os.path.basename(path) for path in paths] == ['a.jpg', 'b.JPG', 'c.jpg']
    assert missing == paths[2:]


@pytest.mark.parametrize(
    'missing, there, reason',
    [
        ('a.jpg.jpg', 'a.jpg', ''),
        ('ajpg', 'a.jpg', ''),
        ('Photo.jpg', 'photo.png', ''),
        ('caf\u00e9.jpg', unicodedata.normalize('NFD', 'caf\u00e9.jpg'), 'accents'),
    ],
)
def test_a_missing_file_is_named_with_what_is_there(missing, there, reason, tmp_path):
    (tmp_path / there).touch()
    text = name_missing([str(tmp_path / missing), str(tmp_path / 'none.jpg')])
    assert there in text and reason in text and text.endswith('none.jpg')
    assert 'folder does not exist' in name_missing([str(tmp_path / 'none/a.jpg')])


@pytest.mark.parametrize(
    'label, hint', [('DOG', "'Dog'"), ('dgo', "'Dog'"), ('sofa', 'Dog, cat'), ('Background', 'rem')]
)
def test_hint_for_an_unknown_class(label, hint):
    assert hint in explain_unknown(label, ('Dog', 'cat'))
