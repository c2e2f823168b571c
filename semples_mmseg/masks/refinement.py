"""The interface of refinements, and the image that they use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from ..utils.errors import Refusal
from ..utils.images import read_image
from ..utils.sizes import resize_bicubic


class Refinement(Protocol):
    """Turns the label map of the CAMs of one image into its pseudo mask.

    Components are registered in MMSeg's ``TASK_UTILS``, so that a config names them by ``type``.

    Attributes:
        settings: All numbers the result depends on, as JSON; recorded with the masks.
        in_workers: Whether it runs in worker processes. It is then pickled, and ``sample`` has
            only its first four keys.
    """

    settings: Any
    in_workers: bool

    def __call__(self, label: np.ndarray, sample: Mapping[str, Any]) -> np.ndarray:
        """Refine one label map.

        Args:
            label: Label ids 0..K, uint8 of shape ``(H, W)``, the size of the CAMs.
            sample: The prediction: ``img_id``, ``img_path``, ``ori_shape`` (height and width of
                the photo, which may be larger than its CAMs), ``cam_classes`` (0-based object
                classes of the tags, integers ``(n,)``); without workers also ``cams``
                (``sample['cams']['data']``, float ``(n, H, W)`` in [0, 1]), ``background_score``
                and all other fields.

        Returns:
            Label ids of the same shape, uint8.
        """


def read_rgb(sample: Mapping[str, Any], shape: tuple[int, ...]) -> np.ndarray:
    """The image of a prediction at the size of its scores, uint8 RGB of shape ``(H, W, 3)``.

    Args:
        sample: The prediction, with ``img_path`` and, if the image is larger than its scores, its
            size ``ori_shape``.
        shape: Height and width (H, W) of the scores.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the prediction has no path, or the file is damaged or of another size.
    """
    path = sample.get('img_path')
    if path is None:
        raise Refusal(
            f'image {sample.get("img_id")!r} has no `img_path`, which refinement needs: keep it in '
            'the meta_keys of PackWeakInputs.'
        )
    image = read_image(path)
    size = tuple(sample.get('ori_shape') or shape)
    if image.shape[:2] != size:
        raise Refusal(
            f'image {path} is {image.shape[:2]}, its prediction is one of {size} (height, width); '
            'was the file changed?'
        )
    return resize_bicubic(image, (shape[0], shape[1]))
