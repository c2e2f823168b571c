"""The demo's picture: what each step makes of some held-out scenes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from ..utils.io import atomic_write
from ..visualization.pictures import colour_label, overlay_cam, picture_grid


def demo_grid(
    path: str | os.PathLike,
    images: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    cams: Mapping[str, Sequence[np.ndarray]],
    pseudo_masks: Sequence[np.ndarray],
    predictions: Sequence[np.ndarray],
    palette: Sequence[Sequence[int]],
    cell: int = 128,
) -> None:
    """Write a PNG with the columns image | mask | CAMs by step | pseudo mask | Segmenter.

    Args:
        path: The file.
        images: uint8 RGB, shape ``(H, W, 3)`` each, one per row of the picture.
        masks: True label ids, integers of shape ``(H, W)``, 255 ignored.
        cams: For each step, by its title (``'CAM after (a)'``), the CAMs of every image: scores in
            [0, 1] of shape ``(n, h, w)`` or ``(h, w)``.
        pseudo_masks: Label ids like ``masks``.
        predictions: Label ids predicted by the retrained network, like ``masks``.
        palette: RGB of each label id.
        cell: Side of a picture in the grid in pixels.

    Raises:
        ValueError: If the numbers of pictures differ, or an array is not as described.
    """
    columns = {'image': list(images), 'mask': [colour_label(m, palette) for m in masks]}
    for title, maps in cams.items():
        columns[title] = [overlay_cam(*pair) for pair in zip(images, maps, strict=True)]
    columns['pseudo mask'] = [colour_label(m, palette) for m in pseudo_masks]
    columns['Segmenter'] = [colour_label(m, palette) for m in predictions]
    picture = Image.fromarray(picture_grid(columns, cell))
    with atomic_write(path, 'wb') as file:
        picture.save(file, format='PNG')
