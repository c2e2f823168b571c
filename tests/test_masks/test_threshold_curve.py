"""The one-pass threshold curve against brute-force argmax at every threshold, and its metric."""

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from semples_mmseg.masks.threshold_curve import SWEEP, CAMMetric, ThresholdCurve

K = 4
CLASSES = ('background', 'cat', 'dog', 'cow')


def brute_force(samples, thresholds):
    """Confusion (T, K+1, K+1) by a literal argmax over [t, CAMs] for every t."""
    result = np.zeros((len(thresholds), K + 1, K + 1), np.int64)
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


@pytest.mark.parametrize('thresholds', [SWEEP, [0.05, 0.43, 0.5, 0.95]])
def test_equals_brute_force_exactly(thresholds):
    """Random CAMs on a grid of values that hits the thresholds, with 0..3 present classes."""
    rng, size, samples = torch.Generator().manual_seed(0), (9, 7), []
    for i in range(6):
        classes = torch.randperm(K, generator=rng)[: i % 4].sort().values
        cams = torch.randint(30, 70, (i % 4, *size), generator=rng).float() / 100
        target = torch.randint(0, K + 1, size, generator=rng)
        target[torch.rand(size, generator=rng) < 0.2] = 255
        samples.append((cams, classes, target))
    curve = ThresholdCurve(K, thresholds)
    for sample in samples:
        curve.update(*sample)
    assert curve.confusion().dtype == np.int64
    np.testing.assert_array_equal(curve.confusion(), brute_force(samples, thresholds))


def test_tie_with_the_threshold_is_background_and_between_classes_the_first():
    curve = ThresholdCurve(K, [0.43, 0.44])
    cams = torch.tensor([[[0.43, 0.44, 0.9]], [[0.43, 0.2, 0.9]]])
    curve.update(cams, torch.tensor([1, 3]), torch.tensor([[1, 1, 1]]))
    assert curve.confusion()[0, 1].tolist() == [1, 0, 2, 0, 0]  # 0.43 is not above 0.43
    assert curve.confusion()[1, 1].tolist() == [2, 0, 1, 0, 0]


@pytest.mark.parametrize('thresholds', [[], [0.5, 0.4], [0.5, 0.5], [0.5, 0.5 + 1e-12]])
def test_bad_thresholds(thresholds):
    with pytest.raises(ValueError, match='strictly ascending'):
        ThresholdCurve(K, thresholds)


@pytest.mark.parametrize(
    ('cams', 'classes', 'target', 'message'),
    [
        (torch.zeros(1, 4, 4), [0], torch.zeros(5, 4), 'without resizing'),
        (torch.zeros(1, 4, 4), [0], torch.full((4, 4), 5), "'x': the mask holds the id 5"),
        (torch.zeros(1, 4, 4), [0], torch.full((4, 4), -1), 'holds the id -1'),
        (torch.zeros(1, 4, 4), [4], torch.zeros(4, 4), r'CAM classes \[4\]'),
        (torch.full((1, 4, 4), float('nan')), [0], torch.zeros(4, 4), 'not finite'),
    ],
)
def test_bad_samples_name_the_image(cams, classes, target, message):
    with pytest.raises(ValueError, match=message) as error:
        ThresholdCurve(K).update(cams, torch.tensor(classes), target.long(), 'x')
    assert "'x'" in str(error.value)


def make_sample(seed, present=(0, 2), size=(6, 5)):
    """A data sample as the segmentor returns it."""
    rng = torch.Generator().manual_seed(seed)
    sample = SegDataSample(metainfo=dict(img_id=f'image_{seed}', img_path='somewhere.jpg'))
    sample.cams = PixelData(data=torch.rand((len(present), *size), generator=rng))
    sample.set_data(dict(cam_classes=torch.tensor(present, dtype=torch.int64)))
    target = torch.randint(0, 4, (1, *size), generator=rng)
    sample.gt_sem_seg = PixelData(data=target.to(torch.uint8))
    return sample


def evaluate(samples, batch=2, **options):
    evaluator = Evaluator(dict(type='mmseg.CAMMetric', **options))
    evaluator.dataset_meta = dict(classes=CLASSES)
    for start in range(0, len(samples), batch):
        evaluator.process(samples[start : start + batch])
    return evaluator.evaluate(len(samples))


def test_best_of_the_sweep_and_fixed_score():
    samples = [make_sample(seed) for seed in range(5)] + [make_sample(9, ())]
    metrics = evaluate(samples, background_score=0.2)
    curve = ThresholdCurve(3, [0.2, *SWEEP])
    for sample in samples:
        curve.update(sample.cams.data, sample.cam_classes, sample.gt_sem_seg.data)
    scores = curve.scores()
    best = 1 + int(np.argmax(scores['mIoU'][1:]))  # the fixed score takes no part in the sweep
    assert metrics['seed_mIoU'] == scores['mIoU'][best]
    assert metrics['threshold'] == curve.thresholds[best]
    assert metrics['mIoU'] == scores['mIoU'][0]
    for key in ('FP', 'FN', 'precision', 'recall'):
        assert metrics[key] == scores[key][best]


def test_repeated_images_of_a_padded_last_batch_are_dropped():
    samples = [make_sample(seed) for seed in range(3)]
    metric = CAMMetric()
    metric.dataset_meta = dict(classes=CLASSES)
    metric.process(None, [sample.to_dict() for sample in samples + samples[:1]])
    assert len(metric.results) == 4  # one entry per image, so MMEngine can cut the repetition
    assert metric.compute_metrics(metric.results[:3]) == evaluate(samples)
