"""The masks of the augmented VOC set: checked, copied, or converted from SBD's MATLAB files."""

import os
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from ..datasets.checks import ids_of
from ..utils import atomic_write
from ..utils.errors import Refusal
from ..utils.label_png import IGNORED, check_ids, read_mask, write_mask


def read_sbd_mask(path: str | os.PathLike) -> np.ndarray:
    """VOC's class ids in a file of SBD's ``dataset/cls``, uint8 of shape ``(H, W)``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or something else.
    """
    try:
        label = loadmat(path, appendmat=False)['GTcls']['Segmentation'][0, 0]
    except FileNotFoundError:
        raise
    except Exception as error:  # SciPy raises many types for damaged files
        raise Refusal(
            f'{path} is not a class annotation of SBD with GTcls.Segmentation '
            f'({type(error).__name__}: {error}); unpack the release anew'
        ) from error
    if label.ndim != 2 or label.dtype != np.uint8 or not label.size:
        raise Refusal(
            f'{path}: GTcls.Segmentation has shape {label.shape} and type {label.dtype}; expected '
            '(H, W) of uint8'
        )
    return label


def finish_mask(job: tuple[Path, Path, int]) -> tuple[list[int], bool]:
    """Check an existing mask, or write it from its source: a PNG or a ``.mat`` file of SBD.

    Args:
        job: The mask, its source, and the number of object classes K.

    Returns:
        The object classes 1..K of the mask, and whether it was written now.
    """
    target, source, num_classes = job
    made = not target.exists()
    path = source if made else target
    converted = path.suffix == '.mat'
    label = read_sbd_mask(path) if converted else read_mask(path)
    check_ids(label, num_classes + 1, path)
    if made and converted:
        write_mask(target, label)
    elif made:
        with atomic_write(target, 'wb') as file:
            file.write(path.read_bytes())
    return sorted(ids_of(label) - {0, IGNORED}), made
