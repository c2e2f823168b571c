"""Confusion matrices and the measures drawn from them."""

import numpy as np
import pytest
import torch

from semples_mmseg.masks.scores import confusion_matrix, segmentation_scores


def test_confusion_matrix_counts_every_pixel_once():
    rng = np.random.default_rng(0)
    target = rng.choice([0, 1, 2, 255], (8, 9))
    predicted = rng.integers(0, 3, (8, 9))
    expected = np.zeros((3, 3), np.int64)
    for true, label in zip(target.ravel(), predicted.ravel(), strict=True):
        if true != 255:
            expected[true, label] += 1
    result = confusion_matrix(torch.from_numpy(predicted), torch.from_numpy(target), 3)
    np.testing.assert_array_equal(result, expected)


def test_scores_by_hand():
    # class 2 neither true nor predicted; class 1 predicted half right
    scores = segmentation_scores(np.array([[6, 2, 0], [1, 3, 0], [0, 0, 0]]))
    np.testing.assert_allclose(scores.iou, [100 * 6 / 9, 100 * 3 / 6, np.nan])
    assert scores.miou == pytest.approx(50 * (6 / 9 + 3 / 6))
    assert scores.fp == pytest.approx(50 * (1 / 9 + 2 / 6))
    assert scores.fn == pytest.approx(50 * (2 / 9 + 1 / 6))
    assert scores.precision == pytest.approx(50 * (6 / 7 + 3 / 5))
    assert scores.recall == pytest.approx(50 * (6 / 8 + 3 / 4))


def test_nothing_to_measure_is_nan():
    scores = segmentation_scores(np.zeros((2, 2), np.int64))
    assert np.isnan(scores.miou) and np.isnan(scores.recall)


def test_errors_name_the_image():
    zeros = torch.zeros(2, 2, dtype=torch.int64)
    with pytest.raises(ValueError, match="'pic'.*original image"):
        confusion_matrix(zeros, torch.zeros(3, 2, dtype=torch.int64), 3, name='pic')
    with pytest.raises(ValueError, match="'pic': the mask holds the id 77"):
        confusion_matrix(zeros, zeros + 77, 3, name='pic')
