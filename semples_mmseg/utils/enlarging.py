"""Label maps of large photos from scores that were computed at a smaller size."""

import math

import numpy as np
from PIL import Image

_BILINEAR = Image.Resampling.BILINEAR
STRIP = 1 << 22
"""Pixels that are enlarged at a time: memory does not grow with the photo."""


def enlarged_labels(scores: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Best class of every pixel after bilinear enlargement of the scores.

    Only classes that may be the best one somewhere in a strip of the photo are enlarged, one at a
    time.

    Args:
        scores: Scores of the C classes, ``(C, h, w)``, 1 <= C <= 256.
        size: Height and width (H, W) of the result, not smaller.

    Returns:
        Ids 0..C - 1, uint8 ``(H, W)``; of equal scores the first class.
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
    """A label map at another size, with smooth borders.

    Args:
        label: Ids 0..255, integers ``(h, w)``.
        size: Height and width (H, W) of the result, not smaller.

    Returns:
        uint8 ``(H, W)``: the id whose enlarged region has the largest share of the pixel.
    """
    if label.shape == tuple(size):
        return label.astype(np.uint8)
    ids = np.unique(label).astype(np.uint8)
    return ids[enlarged_labels(np.stack([label == index for index in ids]), size)]
