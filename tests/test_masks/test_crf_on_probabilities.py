"""Test-time CRF: equal to calling pydensecrf, and between predictions and metrics."""

import sys

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import EVALUATOR
from mmseg.structures import SegDataSample
from PIL import Image

from semples_mmseg.masks.crf import TEST_TIME_CRF, CRFParameters, crf_on_probabilities
from semples_mmseg.masks.scores import confusion_matrix, segmentation_scores

VOC = dict(gaussian_sxy=3, gaussian_compat=3, bilateral_sxy=83, bilateral_srgb=5,
           bilateral_compat=3)  # fmt: skip
COCO = dict(gaussian_sxy=1, gaussian_compat=3, bilateral_sxy=67, bilateral_srgb=3,
            bilateral_compat=4)  # fmt: skip


def scene(seed=0, classes=4, size=(33, 47)):
    """An image of two colours with noise, and unsure probabilities."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 30, (*size, 3)) + np.where(np.arange(size[1]) < 20, 40, 190)[:, None]
    logits = rng.normal(size=(classes, *size))
    logits[1, :, 20:] += 1
    return image.astype(np.uint8), np.exp(logits) / np.exp(logits).sum(0)


def directly(image, probabilities, gaussian_sxy, gaussian_compat, bilateral_sxy, bilateral_srgb,
             bilateral_compat):  # fmt: skip
    densecrf = pytest.importorskip('pydensecrf.densecrf')
    classes, height, width = probabilities.shape
    crf = densecrf.DenseCRF2D(width, height, classes)
    unary = -np.log(np.clip(probabilities, 1e-5, 1)).reshape(classes, -1)
    crf.setUnaryEnergy(unary.astype(np.float32))
    crf.addPairwiseGaussian(sxy=gaussian_sxy, compat=gaussian_compat)
    crf.addPairwiseBilateral(
        sxy=bilateral_sxy, srgb=bilateral_srgb, rgbim=image, compat=bilateral_compat
    )
    return np.argmax(crf.inference(10), 0).reshape(height, width)


@pytest.mark.parametrize('settings', [VOC, COCO])
def test_labels_equal_a_direct_call(settings):
    image, probabilities = scene()
    expected = directly(image, probabilities, **settings)
    label = crf_on_probabilities(image, probabilities, CRFParameters(**settings))
    np.testing.assert_array_equal(label, expected)
    assert label.dtype == np.uint8
    assert (label != probabilities.argmax(0)).any()  # it did something


def test_published_numbers():
    assert dict(voc=CRFParameters(**VOC), coco=CRFParameters(**COCO)) == TEST_TIME_CRF
    assert CRFParameters(**VOC).iterations == 10


def test_classes_ruled_out_take_no_part():
    pytest.importorskip('pydensecrf.densecrf')
    image, probabilities = scene()
    probabilities[[0, 2]] = 0
    label = crf_on_probabilities(image, probabilities, TEST_TIME_CRF['voc'])
    expected = directly(image, probabilities[[1, 3]], **VOC)
    np.testing.assert_array_equal(label, np.array([1, 3])[expected])
    probabilities[1] = 0
    assert (crf_on_probabilities(image, probabilities, TEST_TIME_CRF['voc']) == 3).all()


def test_only_predicted_classes_take_part_where_asked():
    pytest.importorskip('pydensecrf.densecrf')
    image, probabilities = scene(classes=5)
    probabilities[[0, 3]] = 0.3 * probabilities.min(0)  # never the most probable
    label = crf_on_probabilities(image, probabilities, TEST_TIME_CRF['voc'], predicted_only=True)
    expected = directly(image, probabilities[[1, 2, 4]], **VOC)
    np.testing.assert_array_equal(label, np.array([1, 2, 4])[expected])


def test_bad_input_is_refused(monkeypatch):
    pytest.importorskip('pydensecrf.densecrf')
    image, probabilities = scene()
    with pytest.raises(ValueError, match='expected a uint8 image'):
        crf_on_probabilities(image[1:], probabilities, TEST_TIME_CRF['voc'])
    with pytest.raises(ValueError, match='bilateral_sxy'):
        CRFParameters(**dict(VOC, bilateral_sxy=0))


def test_without_the_library_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pydensecrf', None)
    with pytest.raises(ImportError, match=r'semples-mmseg\[crf\]'):
        EVALUATOR.build(dict(type='CRFEvaluator', metrics=[]))


@pytest.mark.parametrize(('num_workers', 'predicted_only'), [(0, True), (1, False)])
def test_metrics_see_refined_labels_in_order(tmp_path, num_workers, predicted_only):
    pytest.importorskip('pydensecrf.densecrf')
    rng = np.random.default_rng(1)
    samples, confusion = [], np.zeros((4, 4), np.int64)
    for index in range(4):
        image, probabilities = scene(index)
        path = tmp_path / f'image_{index}.png'
        Image.fromarray(image).save(path)
        truth = rng.integers(0, 4, image.shape[:2])
        expected = directly(image, torch.tensor(probabilities).float().numpy(), **VOC)
        confusion += confusion_matrix(torch.tensor(expected), torch.tensor(truth), 4)
        sample = SegDataSample(metainfo=dict(img_path=str(path), img_id=f'image_{index}'))
        sample.seg_logits = PixelData(data=torch.tensor(probabilities).log().float() + 2)
        sample.pred_sem_seg = PixelData(data=torch.zeros(1, *truth.shape, dtype=torch.int64))
        sample.gt_sem_seg = PixelData(data=torch.tensor(truth)[None])
        samples.append(sample)
    out = tmp_path / 'out'
    evaluator = EVALUATOR.build(
        dict(
            type='CRFEvaluator',
            metrics=[dict(type='IoUMetric'), dict(type='PredictionWriter', out_dir=str(out))],
            num_workers=num_workers,
            predicted_only=predicted_only,
        )
    )
    evaluator.dataset_meta = dict(classes=tuple('abcd'), palette=[])
    evaluator.process(samples[:3])
    evaluator.process(samples[3:])
    metrics = evaluator.evaluate(4)
    assert metrics['mIoU'] == pytest.approx(segmentation_scores(confusion).miou, abs=0.01)
    assert metrics['predictions'] == 4
    assert evaluator.metrics[1].results == []  # handed over and counted, none left behind
    for index in range(4):
        image, probabilities = scene(index)
        written = np.array(Image.open(out / f'image_{index}.png'))
        np.testing.assert_array_equal(
            written, directly(image, probabilities.astype(np.float32), **VOC)
        )


def test_samples_that_do_not_fit_are_named(tmp_path):
    pytest.importorskip('pydensecrf.densecrf')
    evaluator = EVALUATOR.build(dict(type='CRFEvaluator', metrics=[], num_workers=0))
    with pytest.raises(ValueError, match="'cat_1' has no `seg_logits`"):
        evaluator.process([dict(img_id='cat_1')])
    Image.new('RGB', (8, 6)).save(tmp_path / 'a.png')
    wrong = dict(img_path=str(tmp_path / 'a.png'), seg_logits=dict(data=torch.zeros(2, 8, 8)))
    with pytest.raises(ValueError, match=r'a.png is \(6, 8\)'):
        evaluator.process([wrong])
