"""What stands between the label map of the CAMs and the mask on disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from ..utils.images import read_image

REFINEMENTS: dict[str, dict[str, Any] | None] = {
    'none': None,
    'crf-voc': dict(type='DenseCRF', preset='voc'),
    'crf-coco': dict(type='DenseCRF', preset='coco'),
    'pamr': dict(type='PAMR'),
}
"""Short names of refinements with published settings, for the command line."""


class Refinement(Protocol):
    """A step between the label map of the CAMs and the mask on disk.

    Components are registered in MMSeg's ``TASK_UTILS``, so that a config names them by ``type``.

    Attributes:
        settings: What the result depends on, recorded in the folder's manifest; JSON.
        in_workers: Whether it is called in other processes, many at once. It is pickled, then, and
            finds in ``sample`` no more than the keys named below without a star.
    """

    settings: Any
    in_workers: bool

    def __call__(self, label: np.ndarray, sample: Mapping[str, Any]) -> np.ndarray:
        """Refine the map of one image.

        Args:
            label: Label ids 0..K, uint8 of shape ``(H, W)``.
            sample: ``img_id``, ``img_path``, ``cam_classes`` (0-based object classes of the tags,
                in any kind of array), ``background_score``; and, in the model's own process, all
                of the prediction: ``cams``* and the rest*.

        Returns:
            Label ids of the same shape.
        """


def read_rgb(sample: Mapping[str, Any], shape: tuple[int, ...]) -> np.ndarray:
    """The image of a prediction, uint8 RGB of shape ``(H, W, 3)``.

    Args:
        sample: The prediction, with ``img_path``.
        shape: Height and width of its CAMs.

    Raises:
        FileNotFoundError: If the image is gone.
        ValueError: If the prediction has no path, the file is no whole image or of another size.
    """
    path = sample.get('img_path')
    if path is None:
        raise ValueError(
            f'image {sample.get("img_id")!r} has no `img_path`, which refinement needs: keep it in '
            'the meta_keys of PackWeakInputs.'
        )
    image = read_image(path)
    if image.shape[:2] != tuple(shape):
        raise ValueError(
            f'image {path} is {image.shape[:2]}, its CAMs are {tuple(shape)} (height, width); '
            'CAMs must have the size of the original image.'
        )
    return image
