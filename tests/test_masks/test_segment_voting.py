"""Segments that vote on a mask: against masks made by hand, and as a refinement."""

import numpy as np
import pytest
from mmseg.registry import TASK_UTILS
from PIL import Image

from semples_mmseg.masks.segment_voting import vote

LABEL = [
    [1, 1, 1, 0, 0, 0],
    [1, 1, 2, 0, 0, 0],
    [0, 1, 2, 2, 0, 3],
    [0, 0, 0, 2, 255, 3],
]
SEGMENTS = [
    [7, 7, 7, 7, 7, 9],
    [7, 7, 7, 7, 9, 9],
    [0, 7, 7, 9, 9, 5],
    [0, 0, 9, 9, 9, 5],
]


@pytest.mark.parametrize(
    ('share', 'cover', 'voted'),
    [
        # 7 has 12 pixels, 6 of class 1 (all of them) and 2 of class 2; 9 has 8, 2 of class 2
        (0.5, 0.85, '1 1 1 1 1 0, 1 1 1 1 0 0, 0 1 1 2 0 3, 0 0 0 2 255 3'),
        # half of class 2 is in segment 9
        (0.5, 0.45, '1 1 1 1 1 2, 1 1 1 1 2 2, 0 1 1 2 2 3, 0 0 2 2 255 3'),
        # nothing covers enough, and 5 alone is of one class
        (0.99, 1.0, '1 1 1 0 0 0, 1 1 2 0 0 0, 0 1 2 2 0 3, 0 0 0 2 255 3'),
    ],
)
def test_votes_made_by_hand(share, cover, voted):
    result = vote(np.array(LABEL, np.uint8), np.array(SEGMENTS, np.uint16), share, cover)
    assert result.dtype == np.uint8
    assert result.tolist() == [[int(n) for n in row.split()] for row in voted.split(',')]


def test_a_class_with_segments_is_these_segments():
    label = np.array([[1, 1, 1, 1, 0, 0]], np.uint8)
    assert vote(label, np.array([[4, 4, 4, 0, 0, 6]])).tolist() == [[1, 1, 1, 0, 0, 0]]


@pytest.fixture
def photo(tmp_path):
    """A photo that lies on its side (4 x 6 when upright) and its segments of 16 bits."""
    image, exif = Image.new('RGB', (4, 6)), Image.Exif()
    exif[0x112] = 6
    image.save(tmp_path / 'a.jpg', exif=exif)
    (tmp_path / 'segments/sub').mkdir(parents=True)
    write(tmp_path, np.uint16(SEGMENTS) * 1000)
    return tmp_path / 'a.jpg'


def write(root, segments):
    Image.fromarray(segments).save(root / 'segments/sub/a.png')


def test_component_reads_the_segments_of_each_photo(photo):
    folder = photo.parent / 'segments'
    refine = TASK_UTILS.build(dict(type='SegmentVoting', folder=str(folder)))
    assert refine.in_workers
    assert refine.settings == dict(type='SegmentVoting', share=0.5, cover=0.85)
    assert refine.inputs({'sub/a': photo}) == {'segments/sub/a': folder / 'sub/a.png'}
    label = np.array(LABEL, np.uint8)
    sample = dict(img_id='sub/a')
    np.testing.assert_array_equal(refine(label, sample), vote(label, np.array(SEGMENTS)))
    # CAMs of half the size
    small = refine(label[::2, ::2], sample)
    np.testing.assert_array_equal(small, vote(label[::2, ::2], np.array(SEGMENTS)[::2, ::2]))


def test_what_does_not_fit_is_refused_before_work(photo):
    root = photo.parent
    config = dict(type='SegmentVoting', folder=str(root / 'segments'))
    with pytest.raises(FileNotFoundError, match='folder of the segments, .*none, does not exist'):
        TASK_UTILS.build(dict(config, folder=str(root / 'none')))
    with pytest.raises(ValueError, match=r'`share` and `cover` must be in \[0, 1\]'):
        TASK_UTILS.build(dict(config, share=50))
    refine = TASK_UTILS.build(config)
    with pytest.raises(FileNotFoundError, match='a.jpg has no segments: there is no .*b.png'):
        refine.inputs({'b': photo})
    for segments, told in (
        (np.zeros((6, 4), np.uint8), r'a.png are \(6, 4\), photo .*a.jpg is \(4, 6\).*upright'),
        (np.zeros((4, 6, 3), np.uint8), 'mode RGB; expected 8- or 16-bit palette or grey: one seg'),
        (np.zeros((4, 6), bool), 'mode 1; expected 8- or 16-bit'),
    ):
        write(root, segments)
        with pytest.raises(ValueError, match=told):
            refine.inputs({'sub/a': photo})
