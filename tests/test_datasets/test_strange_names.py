"""Image ids, class names, lists and links that strangers send."""

import os

import pytest

from semples_mmseg.utils.label_png import mask_path
from semples_mmseg.utils.lists import (
    files_below,
    missing_files,
    read_image_ids,
    read_label_file,
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
        '{"a": ["cat"], "a": []}': "key 'a' is there more than once",
        '{"a": [NaN]}': 'NaN is no number',
        '[' * 100_000: 'nested too deeply|not a JSON',
        '{"a": ' + '9' * 10_000 + '}': 'not a JSON',
    }.items():
        path.write_text(text)
        with pytest.raises(ValueError, match=f'x.txt.*({words})'):
            read_label_file(str(path))


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
