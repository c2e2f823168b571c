"""Dense CRF: label-exact against calls of pydensecrf itself, and clear errors."""

import sys

import numpy as np
import pytest
from mmseg.registry import TASK_UTILS
from PIL import Image

from semples_mmseg.masks.crf import PSEUDO_MASK_CRF, crf_on_labels, crf_parameters
from semples_mmseg.masks.refinement import DenseCRF

# the published numbers: Gaussian sxy and compat, bilateral sxy, srgb and compat
LABEL_NUMBERS = dict(voc=(4, 3, 83, 5, 3), coco=(3, 3, 50, 5, 10))


@pytest.fixture
def densecrf():
    return pytest.importorskip('pydensecrf.densecrf')


def make_image(seed=0, size=(33, 46)):
    """Smooth colour blobs with noise, (H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 5, 3), np.uint8))
    smooth = np.asarray(coarse.resize(size[::-1], Image.Resampling.BICUBIC), np.int64)
    return np.clip(smooth + rng.integers(-9, 10, smooth.shape), 0, 255).astype(np.uint8)


def make_label(ids, seed=0, size=(33, 46)):
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.choice(ids, (6, 7)).astype(np.uint8))
    return np.array(coarse.resize(size[::-1], Image.Resampling.NEAREST))


def direct(densecrf, image, unary, numbers):
    """Marginals (n, H, W) straight from the library."""
    height, width = image.shape[:2]
    crf = densecrf.DenseCRF2D(width, height, len(unary))
    crf.setUnaryEnergy(unary)
    crf.addPairwiseGaussian(sxy=numbers[0], compat=numbers[1])
    crf.addPairwiseBilateral(sxy=numbers[2], srgb=numbers[3], rgbim=image, compat=numbers[4])
    return np.array(crf.inference(10)).reshape(-1, height, width)


@pytest.mark.parametrize('preset', ['voc', 'coco'])
def test_labels_are_exactly_those_of_the_library(densecrf, preset):
    image, present = make_image(), [15, 2, 7]
    label = make_label([0, 2, 15])  # tag 7 has no pixel, but may be chosen
    dense = {0: 0, 2: 1, 7: 2, 15: 3}
    unary = np.zeros((4, label.size), np.float32)
    for pixel, value in enumerate(label.ravel()):
        unary[:, pixel] = -np.log(0.3 / 3)
        unary[dense[value], pixel] = -np.log(0.7)
    best = direct(densecrf, image, unary, LABEL_NUMBERS[preset]).argmax(0)
    expected = np.array([0, 2, 7, 15])[best]
    refined = crf_on_labels(image, label, present, PSEUDO_MASK_CRF[preset])
    assert refined.dtype == np.uint8 and (refined != label).any()
    np.testing.assert_array_equal(refined, expected)


def test_nothing_to_choose_from_and_labels_that_cannot_be(densecrf):
    image, empty = make_image(), np.zeros((33, 46), np.uint8)
    numbers = PSEUDO_MASK_CRF['voc']
    np.testing.assert_array_equal(crf_on_labels(image, empty, [], numbers), empty)
    with pytest.raises(ValueError, match=r'labels \[3\] are not among \[0, 1\]'):
        crf_on_labels(image, empty + 3, [1], numbers)


def test_component_reads_the_image_and_the_tags(densecrf, tmp_path):
    Image.fromarray(make_image()).save(tmp_path / 'a.png')
    label = make_label([0, 1, 3])
    sample = dict(img_id='a', img_path=str(tmp_path / 'a.png'), cam_classes=np.array([0, 2]))
    refine = TASK_UTILS.build(dict(type='DenseCRF', preset='voc', bilateral_sxy=20, certainty=0.6))
    assert refine.settings == dict(
        type='DenseCRF',
        certainty=0.6,
        gaussian_sxy=4,
        gaussian_compat=3,
        bilateral_sxy=20,
        bilateral_srgb=5,
        bilateral_compat=3,
        iterations=10,
    )
    numbers = crf_parameters(PSEUDO_MASK_CRF, 'voc', dict(bilateral_sxy=20))
    expected = crf_on_labels(make_image(), label, [1, 3], numbers, 0.6)
    np.testing.assert_array_equal(refine(label, sample), expected)
    with pytest.raises(ValueError, match='a.png'):
        refine(label[1:], sample)
    with pytest.raises(ValueError, match="'a' has no `img_path`"):
        refine(label, dict(sample, img_path=None))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(preset='city'), "no parameter set 'city'; there are voc, coco"),
        (dict(preset='voc', sigma=3), r"unknown parameters \['sigma'\]; there are gaussian_sxy"),
        (dict(preset='voc', bilateral_srgb=0), '`bilateral_srgb` must be positive, got 0'),
        (dict(preset='voc', gaussian_compat=-1), '`gaussian_compat` must not be negative'),
        (dict(preset='voc', certainty=1), '`certainty` must be between 0 and 1, got 1'),
    ],
)
def test_bad_options_are_named(densecrf, options, message):
    with pytest.raises(ValueError, match=message):
        DenseCRF(**options)


def test_without_the_library_construction_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pydensecrf', None)
    with pytest.raises(ImportError, match=r'pip install "semples-mmseg\[crf\]"'):
        DenseCRF('voc')
