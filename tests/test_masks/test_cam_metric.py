"""The CAM metric through MMEngine's evaluator."""

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from semples_mmseg.masks.threshold_curve import CAMMetric, ThresholdCurve

CLASSES = ('background', 'cat', 'dog', 'cow')


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
    curve = ThresholdCurve(3, [0.2] + [i / 100 for i in range(40, 60)])
    for sample in samples:
        curve.update(sample.cams.data, sample.cam_classes, sample.gt_sem_seg.data)
    scores = curve.scores()
    best = 1 + int(np.argmax(scores.miou[1:]))  # the fixed score takes no part in the sweep
    assert metrics['seed_mIoU'] == scores.miou[best]
    assert metrics['threshold'] == curve.thresholds[best]
    assert metrics['mIoU'] == scores.miou[0]
    for key in ('FP', 'FN', 'precision', 'recall'):
        assert metrics[key] == getattr(scores, key.lower())[best]


def test_repeated_images_of_a_padded_last_batch_are_dropped():
    samples = [make_sample(seed) for seed in range(3)]
    metric = CAMMetric()
    metric.dataset_meta = dict(classes=CLASSES)
    metric.process(None, [sample.to_dict() for sample in samples + samples[:1]])
    assert len(metric.results) == 4  # one entry per image, so MMEngine can cut the repetition
    assert metric.compute_metrics(metric.results[:3]) == evaluate(samples)


def test_fixed_score_that_equals_a_swept_one_up_to_rounding():
    sweep = list(np.arange(0.40, 0.60, 0.01))
    assert 0.43 not in sweep
    metrics = evaluate([make_sample(0)], thresholds=sweep, background_score=0.43)
    assert metrics['mIoU'] == evaluate([make_sample(0)], background_score=0.43)['mIoU']


def test_errors_are_clear():
    sample = make_sample(3)
    sample.gt_sem_seg = PixelData(data=torch.zeros(1, 5, 5))
    with pytest.raises(ValueError, match="'image_3'.*resized"):
        evaluate([sample])
    sample = make_sample(5)
    del sample.gt_sem_seg
    with pytest.raises(ValueError, match='`gt_sem_seg`; add LoadAnnotations'):
        evaluate([sample])
    sample = make_sample(6)
    del sample.cams
    with pytest.raises(ValueError, match='`cams`'):
        evaluate([sample])
    sample = make_sample(7)
    sample.gt_sem_seg.data[:] = 255
    with pytest.raises(ValueError, match='no pixel'):
        evaluate([sample])
