"""Measures of a folder of label maps, and the tool around them."""

import json

import numpy as np
import pytest
from PIL import Image
from run_tool import run_tool

from semples_mmseg.masks.scores import class_names, score_folder, segmentation_scores
from semples_mmseg.utils.label_png import write_mask

NAMES = ['background', 'cat', 'dog', 'owl']
MEANS = ('mIoU', 'FP', 'FN', 'precision', 'recall')


@pytest.fixture
def folders(tmp_path):
    """Three masks and their ground truth: (folder of masks, folder of ground truth)."""
    rng = np.random.default_rng(0)
    for name, size in (('a', (7, 9)), ('b', (5, 4)), ('deep/c', (8, 8))):
        truth = rng.choice([0, 1, 2, 255], size)
        write_mask(tmp_path / 'truth' / f'{name}.png', truth)
        mask = np.where(rng.random(size) < 0.6, truth, rng.integers(0, 3, size))
        write_mask(tmp_path / 'masks' / f'{name}.png', np.where(mask == 255, 0, mask))
    return tmp_path / 'masks', tmp_path / 'truth'


def pixel_pairs(masks, truth, names):
    for name in names:
        mask, target = (np.asarray(Image.open(f / f'{name}.png')).ravel() for f in (masks, truth))
        yield from ((int(m), int(t)) for m, t in zip(mask, target, strict=True) if t != 255)


def by_hand(pairs, number):
    """IoU of each class, and the means by name, by counting pixel by pixel."""
    pairs, rows = list(pairs), []
    for k in range(number):
        hit = sum(m == t == k for m, t in pairs)
        predicted, true = sum(m == k for m, t in pairs), sum(t == k for m, t in pairs)
        union = predicted + true - hit
        parts = (hit, union), (predicted - hit, union), (true - hit, union), (hit, predicted)
        rows.append([100 * a / b if b else float('nan') for a, b in (*parts, (hit, true))])
    return [row[0] for row in rows], dict(zip(MEANS, np.nanmean(rows, axis=0), strict=True))


def means(scores):
    return {name: pytest.approx(scores[name]) for name in MEANS}


def test_scores_are_those_of_counting_pixel_by_pixel(folders):
    iou, expected = by_hand(pixel_pairs(*folders, ['a', 'b', 'deep/c']), 4)
    scores = score_folder(*folders, NAMES)
    assert scores['images'] == 3 and scores['undecided'] == 0
    assert means(scores) == expected
    np.testing.assert_allclose([scores['IoU'][name] for name in NAMES[:3]], iou[:3])
    assert scores['IoU']['owl'] is None  # neither there nor predicted


def test_undecided_pixels_are_missed_and_charged_to_no_class(folders):
    masks, truth = folders
    label = np.array(Image.open(masks / 'a.png'))
    label[2:4] = 255
    write_mask(masks / 'a.png', label)
    pairs = list(pixel_pairs(*folders, ['a', 'b', 'deep/c']))
    scores = score_folder(masks, truth, NAMES)
    assert means(scores) == by_hand(pairs, 4)[1]
    assert scores['undecided'] == pytest.approx(100 * sum(m == 255 for m, t in pairs) / len(pairs))
    assert scores['undecided'] > 0


def test_nothing_to_measure_is_nan():
    scores = segmentation_scores(np.zeros((2, 2), np.int64))
    assert np.isnan(scores['mIoU']) and np.isnan(scores['recall'])


def test_only_the_listed_ids_count(folders, tmp_path):
    (folders[1] / 'deep' / 'c.png').unlink()  # ground truth is needed for the listed ids alone
    (tmp_path / 'ids.txt').write_text('b\n')
    scores = score_folder(*folders, NAMES, tmp_path / 'ids.txt')
    assert scores['images'] == 1
    assert means(scores) == by_hand(pixel_pairs(*folders, ['b']), 4)[1]


def test_what_is_missing_is_named(folders, tmp_path):
    masks, truth = folders
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='empty holds no PNG file'):
        score_folder(tmp_path / 'empty', truth, NAMES)
    with pytest.raises(FileNotFoundError, match='no folder of masks at .*gone'):
        score_folder(tmp_path / 'gone', truth, NAMES)
    with pytest.raises(FileNotFoundError, match='no folder of ground truth at .*gone'):
        score_folder(masks, tmp_path / 'gone', NAMES)
    (tmp_path / 'ids.txt').write_text('a\nx\ny\n')
    with pytest.raises(FileNotFoundError, match='has no mask for x, y, listed in .*ids.txt'):
        score_folder(masks, truth, NAMES, tmp_path / 'ids.txt')
    (truth / 'a.png').unlink()
    with pytest.raises(FileNotFoundError, match='has no ground truth for a; .*--ids'):
        score_folder(masks, truth, NAMES)


@pytest.mark.parametrize(
    ('folder', 'content', 'message'),
    [
        ('masks', np.zeros((5, 5)), r'masks/b.png.*\(5, 5\), the ground truth \(5, 4\)'),
        ('masks', np.full((5, 4), 4), 'masks/b.png: the mask holds the id 4; .*0..3'),
        ('truth', np.full((5, 4), 77), 'truth/b.png: the mask holds the id 77; .*0..3'),
        ('masks', 'RGB', 'masks/b.png is an image of mode RGB; expected 8-bit palette'),
        ('truth', 'I;16', 'truth/b.png is an image of mode I;16; expected 8-bit palette'),
        ('masks', None, 'masks/b.png cannot be read'),
    ],
)
def test_bad_files_are_named(folders, tmp_path, folder, content, message):
    file = tmp_path / folder / 'b.png'
    if content is None:
        file.write_bytes(b'no image')
    elif isinstance(content, str):
        Image.new(content, (4, 5)).save(file)
    else:
        write_mask(file, content)
    with pytest.raises(ValueError, match=message):
        score_folder(*folders, NAMES)


def test_ground_truth_of_0_and_255_is_refused(tmp_path):
    for n in range(3):
        for folder, value in (('masks', 1), ('truth', 255)):
            write_mask(tmp_path / folder / f'{n}.png', np.array([[0, value]] * 4))
    with pytest.raises(ValueError, match='0.png.*255 means ignored'):
        score_folder(tmp_path / 'masks', tmp_path / 'truth', ['background', 'water'])


def test_class_names(tmp_path):
    voc, coco = class_names('voc', None), class_names('coco', None)
    assert len(voc) == 21 and voc[0] == 'background' and voc[20] == 'tvmonitor'
    assert len(coco) == 81 and coco[1] == 'person' and coco[80] == 'toothbrush'
    assert class_names(None, 3) == ['background', 'class 1', 'class 2']
    (tmp_path / 'names.txt').write_text('background\ncat\n\n')
    assert class_names(str(tmp_path / 'names.txt'), None) == ['background', 'cat']
    (tmp_path / 'names.txt').write_text('background\ncat\ncat\n')
    with pytest.raises(ValueError, match='names.txt names a class twice'):
        class_names(str(tmp_path / 'names.txt'), None)
    for arguments in ((None, None), ('voc', 21)):
        with pytest.raises(ValueError, match='either --classes .* or --num-classes'):
            class_names(*arguments)
    for number in (1, 256):
        with pytest.raises(ValueError, match='must be 2 to 255'):
            class_names(None, number)
    with pytest.raises(FileNotFoundError, match='vocc is neither voc, coco nor'):
        class_names('vocc', None)


def test_the_tool_shows_a_table_and_writes_json(folders, tmp_path, monkeypatch, capsys):
    (tmp_path / 'names.txt').write_text('\n'.join(NAMES))
    (tmp_path / 'ids.txt').write_text('a\ndeep/c\n')
    options = '--classes names.txt --ids ids.txt --json new/scores.json --num-workers 2'
    monkeypatch.chdir(tmp_path)
    run_tool('eval_pseudo_masks.py', *folders, *options.split())
    written = json.loads((tmp_path / 'new' / 'scores.json').read_text())
    scores = score_folder(*folders, NAMES, tmp_path / 'ids.txt')
    assert written == scores and written['IoU']['owl'] is None
    shown = capsys.readouterr().out
    assert '2 images' in shown and all(f'{scores[key]:.2f}' in shown for key in ('mIoU', 'FN'))
