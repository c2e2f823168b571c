"""What NumPy does in the place of PyTorch, OpenCV and MMSegmentation."""

import json
from unittest import mock

import cv2
import mmcv
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from semples_mmseg.photos.onnx_model import (
    OnnxModel,
    OnnxSettings,
    require_onnxruntime,
    resize_as_opencv,
    resize_linear,
    windows,
)

SIZES = [((60, 90), (70, 105)), ((300, 420), (70, 98)), ((20, 250), (46, 560)), ((9, 5), (9, 50))]


@pytest.mark.parametrize('size, wanted', SIZES)
def test_resizing_is_that_of_the_libraries(size, wanted):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    found = resize_as_opencv(pixels.transpose(2, 0, 1), wanted).astype(int)
    difference = np.abs(found - cv2.resize(pixels, wanted[::-1]).transpose(2, 0, 1))
    assert difference.max() <= 1 and (difference > 0).mean() < 0.01
    planes = pixels.transpose(2, 0, 1).astype(np.float32)
    for aligned in (False, True):
        tensor = torch.from_numpy(planes)[None]
        expected = F.interpolate(tensor, wanted, mode='bilinear', align_corners=aligned)[0]
        found = resize_linear(planes, wanted, aligned)
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-2)


@pytest.mark.parametrize('size', [(480, 640), (500, 333), (100, 3000), (1, 1)])
def test_the_size_is_that_of_mmcv(size):
    for scale in ((4160, 520), (640, 640)):
        settings = OnnxSettings(('background',), ((0, 0, 0),), (0, 0, 0), scale=scale)
        image = np.zeros((*size, 3), np.uint8)
        assert settings.resized(size) == mmcv.imrescale(image, scale).shape[:2]
    assert OnnxSettings((), (), (), scale=(30, 20), keep_ratio=False).resized(size) == (20, 30)
    assert OnnxSettings((), (), ()).resized(size) == size


def test_windows_cover_the_image_as_mmsegmentation_slides_them():
    found = list(windows((100, 64), (64, 64), (43, 43)))
    assert [(rows.start, columns.start) for rows, columns in found] == [(0, 0), (36, 0)]
    assert list(windows((20, 30), (64, 64), (43, 43))) == [(slice(0, 64), slice(0, 64))]


def test_a_card_comes_back():
    settings = OnnxSettings(
        ('background', 'né'), ((0, 0, 0), (1, 2, 3)), (0.5, 1, 2), 640, (8, 4), window=(2, 3)
    )
    assert OnnxSettings.from_json(settings.to_json()) == settings
    for wrong in ('', '{}', '[]', json.dumps(dict(palette=[], other=1))):
        with pytest.raises(ValueError, match='cannot be read'):
            OnnxSettings.from_json(wrong)


def test_without_onnxruntime_there_is_a_command(tmp_path):
    with (
        mock.patch.dict('sys.modules', onnxruntime=None),
        pytest.raises(ImportError, match='pip install onnxruntime'),
    ):
        require_onnxruntime()
    with pytest.raises(FileNotFoundError, match='no model at'):
        OnnxModel(tmp_path / 'gone.onnx')
