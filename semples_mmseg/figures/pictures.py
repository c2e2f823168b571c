"""CAMs over images, label maps in colour, and tables of pictures."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

_GAP = 4


def overlay_cam(image: np.ndarray, cam: np.ndarray, opacity: float = 0.6) -> np.ndarray:
    """Lay a CAM over its image, blue for 0 to red for 1: uint8 RGB ``(H, W, 3)``.

    Args:
        image: uint8 RGB, shape ``(H, W, 3)``.
        cam: Scores in [0, 1], shape ``(h, w)``, or ``(n, h, w)`` of which the highest class is
            shown (n may be 0); resized bilinearly to the image.
        opacity: Share of the colours in the result, 0..1.
    """
    import matplotlib  # as late as it is used, here and below: it takes long

    if cam.ndim == 3:
        cam = cam.max(0, initial=0.0)
    picture = Image.fromarray(cam.astype(np.float32))
    cam = np.asarray(picture.resize(image.shape[1::-1], Image.Resampling.BILINEAR))
    colours = matplotlib.colormaps['jet'](cam.clip(0, 1))[..., :3] * 255
    return np.rint((1 - opacity) * image + opacity * colours).astype(np.uint8)


def colour_label(label: np.ndarray, palette: Sequence[Sequence[int]]) -> np.ndarray:
    """Colour ids 0..255 ``(H, W)`` by the RGB of each; those without one (255) become white."""
    table = np.full((256, 3), 255, np.uint8)
    table[: len(palette)] = np.asarray(palette)
    return table[label]


def picture_grid(
    columns: Mapping[str, Sequence[np.ndarray]],
    cell: int = 128,
    rows: Sequence[str] = (),
    captions: Mapping[str, Sequence[str]] | None = None,
) -> np.ndarray:
    """Arrange pictures in titled columns of square cells, one row per image: uint8 RGB.

    Args:
        columns: Title of each column and its pictures from top to bottom, uint8 RGB of shape
            ``(H, W, 3)``; resized to fit into the cell, keeping their aspect ratio.
        rows: Title of each row, written to the left of it; empty for none.
        captions: Texts below the pictures of some columns, by the column's title.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    captions = captions or {}
    font = max(cell // 11, 9)
    plain: dict[str, Any] = dict(fontsize=font, parse_math=False)  # a $ in a name is a $

    def fill(text: str) -> str:
        return '\n'.join(textwrap.fill(part, int(cell / font / 0.6)) for part in text.splitlines())

    def space(texts: Sequence[str]) -> float:
        return max((1.3 * font * (1 + fill(text).count('\n')) for text in texts), default=0)

    count, side = max(map(len, columns.values())), cell + _GAP
    left, top = _GAP + (side if rows else 0), space([*columns]) + _GAP
    below = space([text for texts in captions.values() for text in texts]) + _GAP
    width, height = left + side * len(columns), top + (cell + below) * count
    figure = Figure((width / 72, height / 72), dpi=72)  # a point is a pixel
    canvas = FigureCanvasAgg(figure)
    edges = left / width, below / height, 1 - _GAP / width, 1 - top / height
    figure.subplots_adjust(*edges, wspace=_GAP / cell, hspace=below / cell)
    axes = figure.subplots(count, len(columns), squeeze=False)
    for column, (title, pictures) in zip(axes.T, columns.items(), strict=True):
        column[0].set_title(fill(title), pad=_GAP, **plain)
        for y, (place, picture) in enumerate(zip(column, pictures, strict=True)):
            # Nearest keeps the pixels of an enlarged label map visible.
            method = 'nearest' if max(picture.shape[:2]) <= cell else None
            place.imshow(picture, interpolation=method)
            place.set(adjustable='datalim', xticks=[], yticks=[], frame_on=False)
            if title in captions:
                place.set_xlabel(fill(captions[title][y]), labelpad=1, **plain)
    for place, title in zip(axes[:, 0], rows, strict=False):
        style = dict(plain, ha='center', va='center', transform=place.transAxes)
        place.text(-0.5 - _GAP / cell, 0.5, fill(title), **style)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def draw_cams(
    images: Sequence[np.ndarray],
    cams: Mapping[str, Sequence[np.ndarray]],
    masks: Sequence[np.ndarray | None] = (),
    palette: Sequence[Sequence[int]] = (),
    rows: Sequence[str] = (),
    cell: int = 160,
) -> Image.Image:
    """Draw rows of image, mask and the CAM of every checkpoint (SemPLeS, figures 3 and 5).

    Args:
        images: uint8 RGB, shape ``(H, W, 3)``.
        cams: Title of each checkpoint and its CAMs, see ``overlay_cam``.
        masks: Class ids ``(H, W)`` of each image, or ``None``; without any there is no column.
        palette: RGB of each id, for the masks.
    """
    columns = {'image': list(images)}
    if any(mask is not None for mask in masks):
        empty = np.full((1, 1, 3), 255, np.uint8)
        columns['mask'] = [empty if mask is None else colour_label(mask, palette) for mask in masks]
    for title, maps in cams.items():
        columns[title] = [overlay_cam(*pair) for pair in zip(images, maps, strict=True)]
    return Image.fromarray(picture_grid(columns, cell, rows))
