"""Prediction with an ONNX file: NumPy, Pillow and onnxruntime, without PyTorch."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..utils.errors import Missing, MissingPackage, Refusal
from ..utils.images import photo_pixels
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

    def to_json(self) -> str:
        """Text for the metadata of an ONNX file."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> OnnxSettings:
        """Read what ``to_json`` has written.

        Raises:
            ValueError: If it is something else.
        """
        try:
            content: dict[str, Any] = json.loads(text)
            values: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in content.items()
            }
            return cls(**{**values, 'palette': tuple(map(tuple, content['palette']))})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Refusal(f'metadata {KEY!r} cannot be read ({error})') from error

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
        FileNotFoundError: If there is no such file.
        ImportError: If onnxruntime is not installed.
        ValueError: If it is no ONNX file, or none of this package.
    """

    def __init__(self, path: str | os.PathLike, max_side: int | None = None) -> None:
        if not Path(path).is_file():
            raise Missing(f'there is no model at {path}')
        runtime = require_onnxruntime()
        try:
            self._session = runtime.InferenceSession(
                os.fspath(path), providers=runtime.get_available_providers()
            )
        except Exception as error:  # onnxruntime has no common type
            raise Refusal(f'{path} cannot be read as an ONNX file ({error})') from error
        about = self._session.get_modelmeta().custom_metadata_map
        if KEY not in about:
            raise Refusal(
                f'{path} has no metadata about classes and sizes: it was not written by '
                'tools/export_onnx.py or semples-mmseg fit'
            )
        try:
            self._settings = OnnxSettings.from_json(about[KEY])
        except ValueError as error:
            raise Refusal(f'{path}: {error}; export it again') from error
        self.classes, self.palette = self._settings.classes, self._settings.palette
        self.max_side = self._settings.max_side if max_side is None else max_side

    def predict(self, photo: str | os.PathLike | np.ndarray) -> np.ndarray:
        """The label map of a photo.

        Args:
            photo: Path, or uint8 RGB of shape ``(H, W, 3)``.

        Returns:
            Class ids, uint8 of shape ``(H, W)``; ``classes`` names them.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it cannot be read.
        """
        pixels, settings = photo_pixels(photo), self._settings
        size = pixels.shape[:2]
        limited = size if self.max_side is None else limited_size(size, self.max_side)
        image = resize_bicubic(pixels, limited).transpose(2, 0, 1)
        image = resize_as_opencv(image, settings.resized(limited)).astype(np.float32)
        logits = resize_linear(self._logits(image), limited, settings.align_corners)
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


def require_onnxruntime() -> Any:
    """Import onnxruntime.

    Raises:
        ImportError: If it is not installed; the message tells how to install it.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingPackage(
            f'ONNX files are run by onnxruntime: pip install onnxruntime ({error})'
        ) from error
    return onnxruntime


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
    """Resize bilinearly without antialiasing, as PyTorch does.

    Args:
        planes: Floats of shape ``(C, H, W)``.
        size: Height and width of the result.
        align_corners: Whether the outermost pixels keep their places.
    """
    for axis, length in ((1, size[0]), (2, size[1])):
        if planes.shape[axis] == length:
            continue
        low, high, share = _places(planes.shape[axis], length, align_corners)
        first, second = planes.take(low, axis), planes.take(high, axis)
        planes = first + (second - first) * (share[:, None] if axis == 1 else share)
    return planes


def resize_as_opencv(planes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize bilinearly with the integers of OpenCV, which MMCV's ``Resize`` calls.

    Args:
        planes: uint8 of shape ``(C, H, W)``.
        size: Height and width of the result.

    Returns:
        uint8 (C, h, w). In random images, a few pixels in a thousand differ from OpenCV's by 1.
    """
    if planes.shape[1:] == tuple(size):
        return planes
    low, high, share = _places(planes.shape[2], size[1])
    first, second = np.rint((1 - share) * 2048), np.rint(share * 2048)
    whole = planes.astype(np.int32)
    rows = whole[:, :, low] * first.astype(np.int32) + whole[:, :, high] * second.astype(np.int32)
    low, high, share = _places(planes.shape[1], size[0])
    first, second = (np.rint(part * 2048).astype(np.int32)[:, None] for part in (1 - share, share))
    upper, lower = (rows[:, low] >> 4) * first >> 16, (rows[:, high] >> 4) * second >> 16
    return (upper + lower + 2 >> 2).astype(np.uint8)


def _places(
    given: int, length: int, align_corners: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of ``length`` pixels its two neighbours of ``given``, and the second one's share."""
    if align_corners:
        at = np.linspace(0, given - 1, length)
    else:
        at = ((np.arange(length) + 0.5) * (given / length) - 0.5).clip(0, given - 1)
    low = at.astype(np.int64)
    return low, np.minimum(low + 1, given - 1), (at - low).astype(np.float32)
