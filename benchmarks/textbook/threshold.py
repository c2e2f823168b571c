"""The curve over background scores as published: all CAM files read again for each score."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image


def threshold_curve(
    cam_files: Sequence[Path],
    mask_files: Sequence[Path],
    num_objects: int,
    thresholds: Sequence[float],
) -> np.ndarray:
    """mIoU in percent at each background score.

    Args:
        cam_files: ``.npz`` of ``cams`` (n, H, W) in [0, 1] and ``classes`` (n,), one per image.
        mask_files: Ground truth of each image: PNGs of label ids, 255 ignored.
        num_objects: Classes without background.
        thresholds: Background scores.
    """
    classes = num_objects + 1
    curve = []
    for threshold in thresholds:
        confusion = np.zeros((classes, classes), np.int64)
        for cam_file, mask_file in zip(cam_files, mask_files, strict=True):
            with np.load(cam_file) as data:
                cams, present = data['cams'], data['classes']
            truth = np.array(Image.open(mask_file))
            background = np.full((1, *truth.shape), threshold, np.float32)
            label = np.concatenate([background, cams]).argmax(0)
            label = np.concatenate([[0], present + 1])[label]
            kept = truth != 255
            index = truth[kept].astype(np.int64) * classes + label[kept]
            confusion += np.bincount(index, minlength=classes**2).reshape(classes, classes)
        hit = np.diag(confusion)
        union = confusion.sum(0) + confusion.sum(1) - hit
        curve.append(100 * (hit[union > 0] / union[union > 0]).mean())
    return np.array(curve)
