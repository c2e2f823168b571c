"""What NumPy does in the place of PyTorch, OpenCV and MMSegmentation; test_predict.py runs it."""

import json
import math
from pathlib import Path
from unittest import mock

import cv2
import mmcv
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from semples_mmseg.photos import onnx_export
from semples_mmseg.photos.onnx_model import OnnxModel, OnnxSettings, resize_as_opencv, resize_linear
from semples_mmseg.utils.errors import Refusal, RunError


@pytest.mark.parametrize('size, wanted', [((60, 90), (70, 105)), ((300, 420), (70, 98))])
def test_resizing_is_that_of_the_libraries(size, wanted):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    planes = pixels.transpose(2, 0, 1).astype(np.float32)
    for aligned in (False, True):
        tensor = torch.from_numpy(planes)[None]
        expected = F.interpolate(tensor, wanted, mode='bilinear', align_corners=aligned)[0]
        found = resize_linear(planes, wanted, aligned)
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-2)
    found = resize_as_opencv(pixels.transpose(2, 0, 1), wanted).transpose(1, 2, 0).astype(int)
    difference = np.abs(found - cv2.resize(pixels, wanted[::-1]))
    assert difference.max() <= 1 and (difference > 0).mean() < 0.01


@pytest.mark.parametrize('size', [(480, 640), (500, 333), (100, 3000), (1, 1)])
def test_the_size_is_that_of_mmcv(size):
    for scale in ((4160, 520), (640, 640)):
        settings = OnnxSettings(('background',), ((0, 0, 0),), (0, 0, 0), scale=scale)
        image = np.zeros((*size, 3), np.uint8)
        assert settings.resized(size) == mmcv.imrescale(image, scale).shape[:2]
    assert OnnxSettings((), (), (), scale=(30, 20), keep_ratio=False).resized(size) == (20, 30)
    assert OnnxSettings((), (), ()).resized(size) == size


GOOD = dict(
    classes=['background', 'cat'], palette=[[0, 0, 0], [1, 2, 3]], mean=[1.5, 0, 255], max_side=640,
    scale=None, keep_ratio=True, window=[64, 64], stride=[32, 32], enlarge=True,
    align_corners=False,
)  # fmt: skip


def test_settings_that_are_not_possible_are_named():
    assert OnnxSettings.from_json(json.dumps(GOOD)).window == (64, 64)
    for key, values in dict(
        classes=['abc', [1, 2], ['background', ''], ['a', 'b\n'], ['background'], None],
        palette=[[[999, -1, 'x']] * 2, [[0, 0, 0]], None],
        mean=[[], [1, 2], ['1', 2, 3], [-1, 0, 0], [math.nan, 0, 0], 3],
        max_side=[0, 'x', 1.5, True, 10**9],
        scale=['big', [0, 5], [5], [5, 1e99]],
        keep_ratio=[None, 1],
        window=[[-5, 64], None, '64'],
        stride=[[0, 0], [32], {}],
        enlarge=['no'],
        align_corners=[0],
    ).items():
        for value in values:
            with pytest.raises(Refusal, match=key):
                OnnxSettings.from_json(json.dumps(GOOD | {key: value}))
    for text in ('[]', '3', json.dumps(GOOD | dict(more=1)), '{"classes": []}'):
        with pytest.raises(Refusal, match='expected an object of'):
            OnnxSettings.from_json(text)


def test_a_graph_without_numbers_gives_no_mask(monkeypatch):
    model = OnnxModel.__new__(OnnxModel)
    model._settings, model.max_side = OnnxSettings.from_json(json.dumps(GOOD)), None
    monkeypatch.setattr(OnnxModel, '_run', lambda *_: np.full((2, 64, 64), np.nan, np.float32))
    with pytest.raises(RunError, match='not a number'):
        model.predict(np.zeros((64, 64, 3), np.uint8))


def test_an_export_that_is_stopped_or_killed_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, 'check_packages', lambda: None)
    for name in ('TorchModel', 'settings_of', 'Graph', 'OnnxModel', '_program'):
        monkeypatch.setattr(onnx_export, name, mock.MagicMock())
    monkeypatch.setattr(onnx_export.Config, 'fromfile', mock.MagicMock())
    monkeypatch.setattr(onnx_export, '_write', lambda *a: Path(a[-1]).write_bytes(b'graph'))
    monkeypatch.setattr(onnx_export, '_compare', mock.Mock(side_effect=[KeyboardInterrupt, None]))
    killed, other = tmp_path / '.x.onnx.ab_d1234.tmp', tmp_path / '.y.onnx.ab_d1234.tmp'
    for file in (killed, other):
        file.write_bytes(b'half of a gr')
    with pytest.raises(KeyboardInterrupt):
        onnx_export.export_onnx('config', 'weights', tmp_path / 'x.onnx')
    assert [*tmp_path.iterdir()] == [other]
    onnx_export.export_onnx('config', 'weights', tmp_path / 'x.onnx')
    assert {*tmp_path.iterdir()} == {other, tmp_path / 'x.onnx'}
    assert (tmp_path / 'x.onnx').read_bytes() == b'graph'


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='no model at'):
        OnnxModel(tmp_path / 'gone.onnx')
    (tmp_path / 'model.onnx').touch()
    with (
        mock.patch.dict('sys.modules', onnxruntime=None),
        pytest.raises(ImportError, match='pip install onnxruntime'),
    ):
        OnnxModel(tmp_path / 'model.onnx')
