"""Average precision of image-level predictions, through the evaluator and from the model."""

import copy

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.structures import BaseDataElement
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from tiny import TINY_GENERATOR

CLASSES = ('background', 'cat', 'dog', 'cow')


def make_samples(logits, labels):
    """Data samples as the segmentor returns them; ``logits`` by name, rows are images."""
    samples = []
    for row in range(len(labels)):
        sample = SegDataSample(metainfo=dict(img_id=f'image_{row}'))
        sample.image_labels = torch.tensor(labels[row], dtype=torch.float32)
        sample.predictions = BaseDataElement(
            **{name: torch.tensor(values[row]) for name, values in logits.items()}
        )
        samples.append(sample)
    return samples


def evaluate(samples):
    evaluator = Evaluator([dict(type='mmseg.PredictionMetric')])
    evaluator.dataset_meta = dict(classes=CLASSES)
    evaluator.process(samples)
    return evaluator.evaluate(len(samples))


def average_precision(scores, truth):
    """Mean over the positives, best first, of the precision among the images up to each."""
    order = np.argsort(-np.asarray(scores))
    hits = np.asarray(truth)[order]
    return 100 * np.mean([hits[: n + 1].mean() for n in np.flatnonzero(hits)])


def test_value_against_a_direct_computation():
    rng = np.random.default_rng(0)
    labels = (rng.random((30, 3)) < 0.4).astype(float)
    logits = {name: rng.normal(size=(30, 3)) + labels for name in ('token', 'coarse', 'fine')}
    metrics = evaluate(make_samples(logits, labels))
    for name, values in logits.items():
        expected = [average_precision(values[:, k], labels[:, k]) for k in range(3)]
        assert metrics[f'mAP_{name}'] == pytest.approx(np.mean(expected), rel=1e-5)
        images = [i for i in range(30) if labels[i].any()]
        expected = [average_precision(values[i], labels[i]) for i in images]
        assert len(images) < 30
        assert metrics[f'image_mAP_{name}'] == pytest.approx(np.mean(expected), rel=1e-5)
    names = ('token', 'coarse', 'fine')
    assert {*metrics} == {f'{kind}_{name}' for kind in ('mAP', 'image_mAP') for name in names}


def test_a_class_that_never_appears_is_left_out_of_the_mean():
    labels = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 0.0]]
    perfect = np.array(labels)
    perfect[:, 2] = [3.0, 2.0, 1.0]
    assert evaluate(make_samples(dict(token=perfect), labels))['mAP_token'] == 100.0


def test_errors_are_clear():
    labels, logits = [[1.0, 0.0, 0.0]], dict(token=[[0.1, 0.2, 0.3]])
    with pytest.raises(ValueError, match='no image has any label'):
        evaluate(make_samples(logits, [[0.0, 0.0, 0.0]]))
    with pytest.raises(ValueError, match="'token' of image 'image_0'.*not finite"):
        evaluate(make_samples(dict(token=[[0.1, float('nan'), 0.3]]), labels))
    with pytest.raises(ValueError, match="'image_0' has no `predictions`"):
        evaluate(make_samples({}, labels))
    sample = make_samples(logits, labels)[0]
    del sample.image_labels
    with pytest.raises(ValueError, match='no `image_labels`'):
        evaluate([sample])


@pytest.mark.parametrize('flip', [True, False])
def test_the_model_hands_out_the_logits_of_its_first_scale(flip, monkeypatch):
    torch.manual_seed(0)
    config = dict(type='CAMSegmentor', mask_generator=copy.deepcopy(TINY_GENERATOR), flip=flip)
    model = MODELS.build(config).eval()
    model.init_weights()
    sizes = [(48, 64), (64, 64), (48, 64)]
    scales = [[torch.randn(3, h, w) for h, w in sizes], [torch.randn(3, 80, 80) for _ in sizes]]
    passes = []
    forward = model.mask_generator.forward
    monkeypatch.setattr(
        model.mask_generator, 'forward', lambda batch: passes.append(len(batch)) or forward(batch)
    )
    results = model.predict(scales)
    # two sizes of the first scale, one of the second: nothing is computed twice
    assert sorted(passes) == [n * (2 if flip else 1) for n in (1, 2, 3)]
    for image, result in zip(scales[0], results, strict=True):
        with torch.no_grad():
            expected = forward(image[None]).logits
        assert set(result.predictions.keys()) == {'token', 'coarse', 'fine'}
        for name, values in result.predictions.items():
            torch.testing.assert_close(values, expected[name][0], rtol=1e-4, atol=1e-5)
        # without labels, the classes with a mean logit above 0 are taken as present
        mean = torch.stack(list(expected.values())).mean(0)[0]
        assert result.cam_classes.tolist() == (mean > 0).nonzero().flatten().tolist()
