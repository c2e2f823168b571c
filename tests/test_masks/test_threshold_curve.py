"""The one-pass threshold curve against brute-force argmax at every threshold."""

import numpy as np
import pytest
import torch

from semples_mmseg.masks.threshold_curve import ThresholdCurve, default_thresholds

K = 4


def brute_force(samples, thresholds, num_objects=K):
    """Confusion (T, K+1, K+1) by a literal argmax over [t, CAMs] for every t."""
    result = np.zeros((len(thresholds), num_objects + 1, num_objects + 1), np.int64)
    for i, threshold in enumerate(thresholds):
        for cams, classes, target in samples:
            background = torch.full((1, *target.shape), threshold, dtype=torch.float32)
            ids = torch.cat([torch.zeros(1, dtype=torch.int64), classes + 1])
            predicted = ids[torch.cat([background, cams]).argmax(0)]
            for true, label in zip(
                target.flatten().tolist(), predicted.flatten().tolist(), strict=True
            ):
                if true != 255:
                    result[i, true, label] += 1
    return result


def make_samples(seed, count=6, size=(9, 7)):
    """Random CAMs on a grid of values that hits the thresholds, with 0..3 present classes."""
    rng = torch.Generator().manual_seed(seed)
    samples = []
    for i in range(count):
        n = i % 4
        classes = torch.randperm(K, generator=rng)[:n].sort().values
        cams = torch.randint(30, 70, (n, *size), generator=rng).float() / 100
        target = torch.randint(0, K + 1, size, generator=rng)
        target[torch.rand(size, generator=rng) < 0.2] = 255
        samples.append((cams, classes, target))
    return samples


@pytest.mark.parametrize('thresholds', [None, [0.05, 0.43, 0.5, 0.95]])
def test_equals_brute_force_exactly(thresholds):
    samples = make_samples(0)
    curve = ThresholdCurve(K, thresholds)
    for sample in samples:
        curve.update(*sample)
    expected = brute_force(samples, thresholds or default_thresholds())
    assert curve.confusion().dtype == np.int64
    np.testing.assert_array_equal(curve.confusion(), expected)


def test_tie_with_the_threshold_is_background_and_between_classes_the_first():
    curve = ThresholdCurve(K, [0.43, 0.44])
    cams = torch.tensor([[[0.43, 0.44, 0.9]], [[0.43, 0.2, 0.9]]])
    curve.update(cams, torch.tensor([1, 3]), torch.tensor([[1, 1, 1]]))
    assert curve.confusion()[0, 1].tolist() == [1, 0, 2, 0, 0]  # 0.43 is not above 0.43
    assert curve.confusion()[1, 1].tolist() == [2, 0, 1, 0, 0]


def test_no_present_class_is_background():
    curve = ThresholdCurve(K, [0.0])
    curve.update(
        torch.zeros(0, 2, 2), torch.zeros(0, dtype=torch.int64), torch.tensor([[0, 2], [255, 0]])
    )
    confusion = curve.confusion()[0]
    assert confusion[0, 0] == 2 and confusion[2, 0] == 1 and confusion.sum() == 3


def test_half_precision_cams_are_compared_in_float32():
    cams = torch.tensor([[[0.43]]], dtype=torch.float16)
    curve = ThresholdCurve(1, [0.43])
    curve.update(cams, torch.tensor([0]), torch.tensor([[1]]))
    assert curve.confusion()[0, 1, 1] == int(cams.float().item() > np.float32(0.43))


def test_index_finds_a_threshold_by_its_float32_value():
    curve = ThresholdCurve(1)
    assert curve.index(0.40 + 3 * 0.01) == 3
    with pytest.raises(ValueError, match='not one of the thresholds'):
        curve.index(0.405)


@pytest.mark.parametrize('thresholds', [[], [0.5, 0.4], [0.5, 0.5], [0.5, 0.5 + 1e-12]])
def test_bad_thresholds(thresholds):
    with pytest.raises(ValueError, match='strictly ascending'):
        ThresholdCurve(K, thresholds)


@pytest.mark.parametrize(
    ('cams', 'classes', 'target', 'message'),
    [
        (torch.zeros(1, 4, 4), [0], torch.zeros(5, 4), 'resized to the original image'),
        (torch.zeros(1, 4, 4), [0], torch.full((4, 4), 5), "'x': the mask holds the id 5"),
        (torch.zeros(1, 4, 4), [0], torch.full((4, 4), -1), 'holds the id -1'),
        (torch.zeros(1, 4, 4), [4], torch.zeros(4, 4), r'CAM classes \[4\]'),
        (torch.zeros(2, 4, 4), [0], torch.zeros(4, 4), 'expected CAMs'),
        (torch.full((1, 4, 4), float('nan')), [0], torch.zeros(4, 4), 'not finite'),
    ],
)
def test_bad_samples_name_the_image(cams, classes, target, message):
    with pytest.raises(ValueError, match=message) as error:
        ThresholdCurve(K).update(cams, torch.tensor(classes), target.long(), 'x')
    assert "'x'" in str(error.value)
