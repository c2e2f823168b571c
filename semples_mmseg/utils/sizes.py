"""Sizes of photos, and images, scores and label maps at other sizes; without PyTorch."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

_BILINEAR = Image.Resampling.BILINEAR
STRIP = 1 << 22
"""Pixels that are enlarged at a time: memory does not grow with the photo."""

LONGEST_RATIO = 10
"""Images whose sides differ by a larger factor are padded and not enlarged, as 20 x 2000 pixels
become 480 x 48000 otherwise."""


def limited_size(size: tuple[int, int], max_side: int) -> tuple[int, int]:
    """Height and width of an image whose long side is to be at most ``max_side`` pixels."""
    longest = max(size)
    if longest <= max_side:
        return size
    height, width = (max(round(side * max_side / longest), 1) for side in size)
    return height, width


def resize_bicubic(img: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a uint8 image (H, W, 3) to a height and width by PIL's antialiased bicubic filter."""
    if img.shape[:2] == tuple(size):
        return img
    picture = Image.fromarray(np.ascontiguousarray(img))
    return np.array(picture.resize((size[1], size[0]), Image.Resampling.BICUBIC))


def enlarged_size(size: tuple[int, int], window: Sequence[int]) -> tuple[int, int]:
    """Height and width of an image after it was enlarged so that a window fits; not of strips."""
    (height, width), (rows, columns) = size, window
    strip = max(height, width) > LONGEST_RATIO * min(height, width)
    if strip or (height >= rows and width >= columns):
        return size
    # The side with the larger factor decides. Integers, so that it equals the window's side.
    target, given = (rows, height) if rows * width >= columns * height else (columns, width)
    return height * target // given, width * target // given


def enlarged_labels(scores: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Best class of every pixel, uint8 (H, W), after bilinear enlargement of scores (C, h, w).

    Of equal classes it is the first; 1 <= C <= 256, and the size is not smaller. Only classes that
    may be the best one somewhere in a strip of the photo are enlarged, one at a time.
    """
    scores = np.ascontiguousarray(scores, np.float32)
    height, width = size
    low, wide = scores.shape[1:]
    label = np.empty(size, np.uint8)
    step = max(STRIP // width, 1)
    for top in range(0, height, step):
        bottom = min(top + step, height)
        box = (0, top * low / height, wide, bottom * low / height)
        first, last = max(math.floor(box[1]) - 1, 0), min(math.ceil(box[3]) + 1, low)
        candidates = _candidates(scores[:, first:last])
        label[top:bottom] = candidates[0]
        best = None
        for index in candidates if len(candidates) > 1 else ():
            plane = Image.fromarray(scores[index])
            values = np.asarray(plane.resize((width, bottom - top), _BILINEAR, box))
            if best is None:
                best = values.copy()
                continue
            better = values > best
            label[top:bottom][better] = index
            np.maximum(best, values, out=best)
    return label


def _candidates(scores: np.ndarray) -> np.ndarray:
    """Classes that are the best one at a pixel or may be so between pixels, ascending.

    A bilinear mean lies between the values at its four corners.
    """
    height, width = scores.shape[1:]
    wide = np.pad(scores, ((0, 0), (0, 1), (0, 1)), 'edge')
    corners = [wide[:, y : y + height, x : x + width] for y in (0, 1) for x in (0, 1)]
    lowest, highest = np.minimum.reduce(corners), np.maximum.reduce(corners)
    between = (highest > lowest.max(0)).any((1, 2))
    between[scores.argmax(0)] = between[lowest.argmax(0)] = True
    return np.flatnonzero(between)


def resized_label(label: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A label map (h, w) of ids 0..255 enlarged to (H, W), each pixel to the largest share."""
    if label.shape == tuple(size):
        return label.astype(np.uint8)
    ids = np.unique(label).astype(np.uint8)
    return ids[enlarged_labels(np.stack([label == index for index in ids]), size)]
