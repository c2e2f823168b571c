"""Prediction with an ONNX file: NumPy, Pillow and onnxruntime, without PyTorch."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..utils.errors import Missing, MissingPackage, Refusal, RunError
from ..utils.images import photo_pixels
from ..utils.label_png import check_classes
from ..utils.sizes import enlarged_labels, enlarged_size, limited_size, resize_bicubic

KEY = 'semples_mmseg'
"""Key of the metadata of an ONNX file."""


@dataclass(frozen=True)
class OnnxSettings:
    """How photos become inputs of a graph, and its outputs label maps: metadata of an ONNX file.

    Attributes:
        classes: Names of the ids, background first.
        palette: RGB of the ids.
        mean: RGB in 0..255, the value of padding.
        max_side: Photos with a longer side are made smaller first; None for no limit.
        scale: ``scale`` of MMCV's ``Resize``, which comes next; None for no resizing.
        keep_ratio: ``keep_ratio`` of the same ``Resize``.
        window: Height and width of sliding windows; None for the whole image at once.
        stride: Vertical and horizontal step between windows.
        enlarge: Whether images smaller than a window are enlarged (``WindowedEncoderDecoder``).
        align_corners: ``align_corners`` of the resizing of logits.
    """

    classes: tuple[str, ...]
    palette: tuple[tuple[int, ...], ...]
    mean: tuple[float, ...]
    max_side: int | None = None
    scale: tuple[int, ...] | None = None
    keep_ratio: bool = True
    window: tuple[int, ...] | None = None
    stride: tuple[int, ...] | None = None
    enlarge: bool = False
    align_corners: bool = False

    @classmethod
    def from_json(cls, text: str) -> OnnxSettings:
        """Read what ``dataclasses.asdict`` and JSON made of the settings.

        Raises:
            Refusal: If a value is not possible; the message names its key.
        """
        given: Any = json.loads(text)
        known = {field.name for field in fields(cls)}
        if not isinstance(given, dict) or given.keys() != known:
            raise Refusal(f'expected an object of {", ".join(sorted(known))}')
        check_classes(given['classes'], given['palette'], 'settings')
        pairs = {
            key: given[key] is None or _are_numbers(given[key], 2, (int,))
            for key in ('scale', 'window', 'stride')
        }
        pairs['window'] &= (given['window'] is None) == (given['stride'] is None)
        right = dict(
            pairs,
            mean=_are_numbers(given['mean'], 3, (int, float), 0),
            max_side=given['max_side'] is None or _are_numbers([given['max_side']], 1, (int,)),
            **{key: type(given[key]) is bool for key in ('keep_ratio', 'enlarge', 'align_corners')},
        )
        if wrong := [key for key, is_right in right.items() if not is_right]:
            raise Refusal(f'{wrong[0]} cannot be {given[wrong[0]]!r}')
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in given.items()
        }
        return cls(**{**values, 'palette': tuple(map(tuple, values['palette']))})

    def resized(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width of an image (height, width) after MMCV's ``Resize``."""
        if self.scale is None:
            return size
        if not self.keep_ratio:
            return self.scale[1], self.scale[0]
        factor = min(max(self.scale) / max(size), min(self.scale) / min(size))
        height, width = (int(side * factor + 0.5) for side in size)
        return height, width


class OnnxModel:
    """A model of ``tools/export_onnx.py`` or of a run.

    Args:
        path: The ONNX file.
        max_side: Photos with a longer side are computed at this one; by default as in the model's
            test pipeline.

    Attributes:
        classes: Names of the ids, background first.
        palette: RGB of the ids.
        max_side: As above; None for no limit.

    Raises:
        Missing: If there is no such file.
        MissingPackage: If onnxruntime is not installed.
        Refusal: If it is no ONNX file, or none of this package.
    """

    engine = 'onnxruntime'

    def __init__(self, path: str | os.PathLike, max_side: int | None = None) -> None:
        if not Path(path).is_file():
            raise Missing(f'there is no model at {path}')
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingPackage(
                f'ONNX files are run by onnxruntime: pip install onnxruntime ({error})'
            ) from error
        try:
            self._session = onnxruntime.InferenceSession(
                os.fspath(path), providers=onnxruntime.get_available_providers()
            )
        except Exception as error:  # onnxruntime has no common type
            raise Refusal(f'{path} cannot be read as an ONNX file ({error})') from error
        try:
            about = self._session.get_modelmeta().custom_metadata_map
            self._settings = OnnxSettings.from_json(about[KEY])
            outputs = self._session.get_outputs()[0].shape
            if len(outputs) != 4 or outputs[1] != len(self._settings.classes):
                raise Refusal(
                    f'{len(self._settings.classes)} classes for logits of shape {outputs}'
                )
        except (ValueError, KeyError, RecursionError) as error:
            raise Refusal(
                f'{path} has no usable classes and sizes in its metadata {KEY!r} ({error}): export '
                'it with tools/export_onnx.py'
            ) from error
        self.classes, self.palette = self._settings.classes, self._settings.palette
        self.max_side = self._settings.max_side if max_side is None else max_side

    def predict(self, photo: str | os.PathLike | np.ndarray) -> np.ndarray:
        """Class ids, uint8 (H, W), of a photo: a path or uint8 RGB (H, W, 3)."""
        pixels, settings = photo_pixels(photo), self._settings
        size = pixels.shape[:2]
        limited = size if self.max_side is None else limited_size(size, self.max_side)
        image = resize_bicubic(pixels, limited).transpose(2, 0, 1)
        image = resize_as_opencv(image, settings.resized(limited)).astype(np.float32)
        logits = resize_linear(self._logits(image), limited, settings.align_corners)
        if np.isnan(logits).any():
            raise RunError('the ONNX file predicts what is not a number (NaN): it is damaged')
        if limited == size:
            return logits.argmax(0).astype(np.uint8)
        return enlarged_labels(logits, size)

    def _logits(self, image: np.ndarray) -> np.ndarray:
        """Logits (C, h, w) of an image (3, H, W); mean over the windows, if there are any."""
        settings = self._settings
        if settings.window is None or settings.stride is None:
            return self._run(image)
        if settings.enlarge:
            image = resize_linear(image, enlarged_size(image.shape[1:], settings.window))
        height, width = image.shape[1:]
        if settings.enlarge:  # a strip is padded
            missing = (max(settings.window[0] - height, 0), max(settings.window[1] - width, 0))
            mean = np.array(settings.mean, np.float32)[:, None, None]
            image = np.pad(image - mean, ((0, 0), (0, missing[0]), (0, missing[1]))) + mean
        total = np.zeros((len(settings.classes), *image.shape[1:]), np.float32)
        count = np.zeros(image.shape[1:], np.float32)
        for where in windows(image.shape[1:], settings.window, settings.stride):
            total[(slice(None), *where)] += self._run(image[(slice(None), *where)])
            count[where] += 1
        return (total / count)[:, :height, :width]

    def _run(self, image: np.ndarray) -> np.ndarray:
        inputs = {self._session.get_inputs()[0].name: np.ascontiguousarray(image[None])}
        return self._session.run(None, inputs)[0][0]


def _are_numbers(given: Any, count: int, kinds: tuple[type, ...], least: int = 1) -> bool:
    """Whether JSON data is a list of so many numbers from ``least`` to 100,000."""
    if not isinstance(given, list) or len(given) != count:
        return False
    return all(type(value) in kinds and least <= value <= 1e5 for value in given)


def windows(
    size: tuple[int, int], window: Sequence[int], stride: Sequence[int]
) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of each window, placed as in MMSegmentation.

    The last windows end at the image's edge; an image smaller than a window is one window.
    """
    starts = []
    for length, side, step in zip(size, window, stride, strict=True):
        count = max(length - side + step - 1, 0) // step + 1
        starts.append([max(min(index * step, length - side), 0) for index in range(count)])
    for top in starts[0]:
        for left in starts[1]:
            yield slice(top, top + window[0]), slice(left, left + window[1])


def resize_linear(
    planes: np.ndarray, size: tuple[int, int], align_corners: bool = False
) -> np.ndarray:
    """Resize floats (C, H, W) bilinearly without antialiasing, as PyTorch does."""
    for axis, length in ((1, size[0]), (2, size[1])):
        if planes.shape[axis] != length:
            low, high, share = _neighbours(planes.shape[axis], length, align_corners)
            first, second = planes.take(low, axis), planes.take(high, axis)
            planes = first + (second - first) * (share[:, None] if axis == 1 else share)
    return planes


def resize_as_opencv(planes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize uint8 (C, H, W) with the integers of OpenCV, which MMCV's ``Resize`` calls.

    In random images, a few values in a thousand differ from OpenCV's by 1.
    """
    if planes.shape[1:] == tuple(size):
        return planes
    (top, bottom, down), (left, right, along) = map(_neighbours, planes.shape[1:], size)
    first, second = (np.rint(part * 2048).astype(np.int32) for part in (1 - along, along))
    rows = planes[:, :, left] * first + planes[:, :, right] * second
    first, second = (np.rint(part * 2048).astype(np.int32)[:, None] for part in (1 - down, down))
    upper, lower = (rows[:, top] >> 4) * first >> 16, (rows[:, bottom] >> 4) * second >> 16
    return (upper + lower + 2 >> 2).astype(np.uint8)


def _neighbours(
    given: int, length: int, align_corners: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of ``length`` pixels its two neighbours of ``given``, and the second one's share."""
    at = ((np.arange(length) + 0.5) * (given / length) - 0.5).clip(0, given - 1)
    if align_corners:
        at = np.linspace(0, given - 1, length)
    low = at.astype(np.int64)
    return low, np.minimum(low + 1, given - 1), (at - low).astype(np.float32)
