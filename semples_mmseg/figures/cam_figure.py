"""CAMs of several checkpoints side by side (SemPLeS, figures 3 and 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from .pictures import colour_label, overlay_cam, picture_grid


def draw_cams(
    images: Sequence[np.ndarray],
    cams: Mapping[str, Sequence[np.ndarray]],
    masks: Sequence[np.ndarray | None] = (),
    palette: Sequence[Sequence[int]] = (),
    rows: Sequence[str] = (),
    cell: int = 160,
) -> Image.Image:
    """Draw rows of image, mask and the CAM of every checkpoint.

    Args:
        images: uint8 RGB, shape ``(H, W, 3)``.
        cams: Title of each checkpoint and its CAMs in [0, 1]; of ``(n, H, W)`` the highest class
            is shown.
        masks: Class ids ``(H, W)`` of each image, or ``None`` where there is no mask. The column
            is left out where no image has one.
        palette: RGB of each id, for the masks.
        rows: Titles of the rows.
        cell: Side of a picture in pixels.

    Raises:
        ValueError: If numbers of pictures differ, or CAMs are not in [0, 1].
    """
    columns = {'image': list(images)}
    if any(mask is not None for mask in masks):
        empty = np.full((1, 1, 3), 255, np.uint8)
        columns['mask'] = [empty if mask is None else colour_label(mask, palette) for mask in masks]
    for title, maps in cams.items():
        columns[title] = [overlay_cam(*pair) for pair in zip(images, maps, strict=True)]
    return Image.fromarray(picture_grid(columns, cell, rows=rows))
