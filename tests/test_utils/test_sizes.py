"""Label maps of large photos: those of scores enlarged as a whole."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from semples_mmseg.utils import sizes
from semples_mmseg.utils.sizes import enlarged_labels, resized_label


def whole(scores, size):
    large = F.interpolate(torch.from_numpy(scores)[None], size, mode='bilinear')[0]
    return large.argmax(0).numpy()


@pytest.mark.parametrize(
    'shape, size',
    [((5, 9, 14), (90, 77)), ((3, 1, 1), (4, 6)), ((2, 1, 7), (8, 9)), ((30, 20, 15), (62, 229))],
)
def test_labels_are_those_of_enlarged_scores(shape, size, monkeypatch):
    monkeypatch.setattr(sizes, 'STRIP', 1000)
    rng = np.random.default_rng(0)
    rough = rng.normal(size=shape).astype(np.float32)
    smooth = rough + 10 * (np.arange(shape[0]) == shape[0] // 2)[:, None, None].astype(np.float32)
    for scores in (rough, np.cumsum(np.cumsum(rough, 1), 2), smooth):
        found = enlarged_labels(scores, size)
        assert found.dtype == np.uint8 and found.shape == size
        # Rounding decides where two classes are equal.
        assert (found == whole(scores, size)).mean() > 0.9999


def test_a_class_that_wins_only_between_the_pixels_is_found():
    scores = np.array([[[1.0, 0.0]], [[0.0, 1.0]], [[0.6, 0.6]]], np.float32)
    assert enlarged_labels(scores, (1, 16))[0].tolist() == [0] * 7 + [2] * 2 + [1] * 7

    # of equal scores the first class wins, and those that are ruled out never
    scores = np.zeros((3, 2, 2), np.float32)
    assert not enlarged_labels(scores, (6, 6)).any()
    scores[0] = -np.inf
    assert (enlarged_labels(scores, (6, 6)) == 1).all()


def test_memory_does_not_grow_with_the_classes(monkeypatch):
    """Of 200 classes, those that may win are enlarged."""
    scores = np.zeros((200, 6, 8), np.float32)
    scores[7, :, :4], scores[150, :, 4:] = 1, 1
    enlarged = []
    original = sizes.Image.fromarray
    monkeypatch.setattr(
        sizes.Image, 'fromarray', lambda plane: enlarged.append(1) or original(plane)
    )
    found = enlarged_labels(scores, (60, 80))
    assert set(np.unique(found)) == {7, 150} and len(enlarged) <= 3


def test_a_label_map_at_another_size_keeps_its_ids_and_areas():
    label = np.zeros((40, 60), np.uint8)
    label[10:30, 20:50] = 7
    label[:5] = 255
    large = resized_label(label, (160, 240))
    assert large.shape == (160, 240) and set(np.unique(large)) == {0, 7, 255}
    for index in (0, 7, 255):
        assert (large == index).mean() == pytest.approx((label == index).mean(), abs=1e-3)
    assert resized_label(label, (40, 60)).dtype == np.uint8
