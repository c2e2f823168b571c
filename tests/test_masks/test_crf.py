"""Dense CRF: label-exact against calls of pydensecrf itself, as refinement and at test time."""

import sys

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import EVALUATOR, TASK_UTILS
from mmseg.structures import SegDataSample
from PIL import Image

from semples_mmseg.masks.crf import (
    PSEUDO_MASK_CRF,
    TEST_TIME_CRF,
    crf_on_labels,
    crf_on_probabilities,
    crf_parameters,
)
from semples_mmseg.masks.refinement import DenseCRF
from semples_mmseg.masks.scores import segmentation_scores

# the published numbers: Gaussian sxy and compat, bilateral sxy, srgb and compat
LABEL_NUMBERS = dict(voc=(4, 3, 83, 5, 3), coco=(3, 3, 50, 5, 10))
TEST_NUMBERS = dict(voc=(3, 3, 83, 5, 3), coco=(1, 3, 67, 3, 4))
VOC = TEST_NUMBERS['voc']


@pytest.fixture
def densecrf():
    return pytest.importorskip('pydensecrf.densecrf')


def scene(seed=0, classes=4, size=(33, 47)):
    """An image of two colours with noise, and unsure probabilities."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 30, (*size, 3)) + np.where(np.arange(size[1]) < 20, 40, 190)[:, None]
    logits = rng.normal(size=(classes, *size))
    logits[1, :, 20:] += 1
    return image.astype(np.uint8), np.exp(logits) / np.exp(logits).sum(0)


def direct(densecrf, image, probabilities, numbers):
    """Best labels (H, W) straight from the library."""
    height, width = image.shape[:2]
    crf = densecrf.DenseCRF2D(width, height, len(probabilities))
    unary = -np.log(np.clip(probabilities, 1e-5, 1)).reshape(len(probabilities), -1)
    crf.setUnaryEnergy(unary.astype(np.float32))
    crf.addPairwiseGaussian(sxy=numbers[0], compat=numbers[1])
    crf.addPairwiseBilateral(sxy=numbers[2], srgb=numbers[3], rgbim=image, compat=numbers[4])
    return np.argmax(crf.inference(10), 0).reshape(height, width)


def make_label(ids):
    coarse = Image.fromarray(np.random.default_rng(0).choice(ids, (6, 7)).astype(np.uint8))
    return np.array(coarse.resize((47, 33), Image.Resampling.NEAREST))


@pytest.mark.parametrize('preset', ['voc', 'coco'])
def test_labels_are_exactly_those_of_the_library(densecrf, preset):
    image, label = scene()[0], make_label([0, 2, 15])  # tag 7 has no pixel, but may be chosen
    ids = np.array([0, 2, 7, 15])
    sure = np.where(label == ids[:, None, None], 0.7, 0.1)
    expected = ids[direct(densecrf, image, sure, LABEL_NUMBERS[preset])]
    refined = crf_on_labels(image, label, [15, 2, 7], PSEUDO_MASK_CRF[preset])
    assert refined.dtype == np.uint8 and (refined != label).any()
    np.testing.assert_array_equal(refined, expected)


def test_component_reads_the_image_and_the_tags(densecrf, tmp_path):
    Image.fromarray(scene()[0]).save(tmp_path / 'a.png')
    label = make_label([0, 1, 3])
    sample = dict(img_id='a', img_path=str(tmp_path / 'a.png'), cam_classes=np.array([0, 2]))
    refine = TASK_UTILS.build(dict(type='DenseCRF', preset='voc', certainty=0.6, bilateral_sxy=20))
    assert refine.in_workers
    numbers = crf_parameters(PSEUDO_MASK_CRF, 'voc', dict(bilateral_sxy=20))
    assert refine.settings == dict(type='DenseCRF', certainty=0.6, **vars(numbers))
    expected = crf_on_labels(scene()[0], label, [1, 3], numbers, 0.6)
    np.testing.assert_array_equal(refine(label, sample), expected)
    with pytest.raises(ValueError, match='a.png'):
        refine(label[1:], sample)


@pytest.mark.parametrize(
    ('options', 'named'),
    [
        (dict(preset='city'), "'city'; there are voc, coco"),
        (dict(preset='voc', sigma=3), r"\['sigma'\]; there are gaussian_sxy"),
        (dict(preset='voc', bilateral_srgb=0), '`bilateral_srgb` .* got 0'),
        (dict(preset='voc', gaussian_compat=-1), '`gaussian_compat` .* got -1'),
        (dict(preset='voc', certainty=1), '`certainty` .* got 1'),
    ],
)
def test_bad_options_are_named(densecrf, options, named):
    with pytest.raises(ValueError, match=named):
        DenseCRF(**options)


def test_without_the_library_construction_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pydensecrf', None)
    for make in (DenseCRF, lambda _: EVALUATOR.build(dict(type='CRFEvaluator', metrics=[]))):
        with pytest.raises(ImportError, match=r'pip install "semples-mmseg\[crf\]"'):
            make('voc')


@pytest.mark.parametrize('preset', ['voc', 'coco'])
def test_probabilities_give_the_labels_of_the_library(densecrf, preset):
    image, probabilities = scene()
    expected = direct(densecrf, image, probabilities, TEST_NUMBERS[preset])
    label = crf_on_probabilities(image, probabilities, TEST_TIME_CRF[preset])
    np.testing.assert_array_equal(label, expected)
    assert label.dtype == np.uint8
    assert (label != probabilities.argmax(0)).any()  # it did something


def test_classes_ruled_out_take_no_part(densecrf):
    image, probabilities = scene()
    probabilities[[0, 2]] = 0
    label = crf_on_probabilities(image, probabilities, TEST_TIME_CRF['voc'])
    expected = direct(densecrf, image, probabilities[[1, 3]], VOC)
    np.testing.assert_array_equal(label, np.array([1, 3])[expected])
    probabilities[1] = 0
    assert (crf_on_probabilities(image, probabilities, TEST_TIME_CRF['voc']) == 3).all()


def test_only_predicted_classes_take_part_where_asked(densecrf):
    image, probabilities = scene(classes=5)
    probabilities[[0, 3]] = 0.3 * probabilities.min(0)  # never the most probable
    label = crf_on_probabilities(image, probabilities, TEST_TIME_CRF['voc'], predicted_only=True)
    expected = direct(densecrf, image, probabilities[[1, 2, 4]], VOC)
    np.testing.assert_array_equal(label, np.array([1, 2, 4])[expected])


@pytest.mark.parametrize(('num_workers', 'predicted_only'), [(0, True), (1, False)])
def test_metrics_see_refined_labels_in_order(densecrf, tmp_path, num_workers, predicted_only):
    rng = np.random.default_rng(1)
    samples, labels, confusion = [], [], np.zeros((4, 4), np.int64)
    for index in range(3):
        image, probabilities = scene(index)
        path = tmp_path / f'image_{index}.png'
        Image.fromarray(image).save(path)
        truth = torch.tensor(rng.integers(0, 4, image.shape[:2]))
        labels.append(direct(densecrf, image, probabilities.astype(np.float32), VOC))
        np.add.at(confusion, (truth.numpy(), labels[-1]), 1)
        sample = SegDataSample(metainfo=dict(img_path=str(path), img_id=f'image_{index}'))
        sample.seg_logits = PixelData(data=torch.tensor(probabilities).log().float() + 2)
        sample.pred_sem_seg = PixelData(data=torch.zeros(1, *truth.shape, dtype=torch.int64))
        sample.gt_sem_seg = PixelData(data=truth[None])
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
    evaluator.process(samples[:2])
    evaluator.process(samples[2:])
    metrics = evaluator.evaluate(3)
    assert metrics['mIoU'] == pytest.approx(segmentation_scores(confusion)['mIoU'], abs=0.01)
    assert metrics['predictions'] == 3
    assert evaluator.metrics[1].results == []  # handed over and counted, none left behind
    for index, label in enumerate(labels):
        np.testing.assert_array_equal(np.array(Image.open(out / f'image_{index}.png')), label)
