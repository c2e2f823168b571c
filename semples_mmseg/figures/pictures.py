"""CAMs over images, label maps in colour, and tables of pictures."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from ..utils.errors import Refusal
from ..utils.label_png import IGNORED


def overlay_cam(image: np.ndarray, cam: np.ndarray, opacity: float = 0.6) -> np.ndarray:
    """Lay a CAM over its image, blue for 0 to red for 1.

    Args:
        image: uint8 RGB, shape ``(H, W, 3)``.
        cam: Scores in [0, 1], shape ``(h, w)``, or ``(n, h, w)`` of which the highest class is
            shown (n may be 0); resized bilinearly to the image.
        opacity: Share of the colours in the result, 0..1.

    Returns:
        uint8 RGB of shape ``(H, W, 3)``.

    Raises:
        ValueError: If a shape differs from these or a score is not in [0, 1].
    """
    if image.ndim != 3 or image.shape[-1] != 3 or cam.ndim not in (2, 3):
        raise Refusal(
            'Expected an image (H, W, 3) and a CAM (h, w) or (n, h, w), '
            f'got {image.shape} and {cam.shape}.'
        )
    if cam.ndim == 3:
        cam = cam.max(0, initial=0.0)
    if not (cam.min(initial=0.0) >= 0 and cam.max(initial=0.0) <= 1):
        raise Refusal(f'A CAM has scores in [0, 1], got {cam.min()}..{cam.max()}.')
    height, width = image.shape[:2]
    if cam.shape != (height, width):
        picture = Image.fromarray(cam.astype(np.float32))
        cam = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))
    colours = matplotlib.colormaps['jet'](cam.clip(0, 1))[..., :3] * 255
    return np.rint((1 - opacity) * image + opacity * colours).astype(np.uint8)


def colour_label(label: np.ndarray, palette: Sequence[Sequence[int]]) -> np.ndarray:
    """Colour a label map; ignored pixels (255) become white.

    Args:
        label: Ids, integers of shape ``(H, W)``.
        palette: RGB of each id.

    Returns:
        uint8 RGB of shape ``(H, W, 3)``.

    Raises:
        ValueError: If an id has no colour.
    """
    table = np.full((256, 3), 255, np.uint8)
    table[: len(palette)] = np.asarray(palette)
    wrong = (label != IGNORED) & ((label < 0) | (label >= len(palette)))
    if wrong.any():
        ids = np.unique(label[wrong])[:5].tolist()
        raise Refusal(f'The label map has ids {ids}, but the palette {len(palette)} colours.')
    return table[label]


def picture_grid(
    columns: Mapping[str, Sequence[np.ndarray]],
    cell: int = 128,
    gap: int = 4,
    rows: Sequence[str] = (),
    captions: Mapping[str, Sequence[str]] | None = None,
) -> np.ndarray:
    """Arrange pictures in titled columns of square cells, one row per image.

    Args:
        columns: Title of each column and its pictures from top to bottom, uint8 RGB of shape
            ``(H, W, 3)``; resized to fit into the cell, keeping their aspect ratio.
        cell: Side of a cell in pixels.
        gap: White space between cells in pixels.
        rows: Title of each row, written to the left of it; empty for none.
        captions: Texts below the pictures of some columns, by the column's title.

    Returns:
        uint8 RGB of the whole picture.

    Raises:
        ValueError: If there are no pictures or the columns, rows or captions differ in length.
    """
    captions = captions or {}
    lengths = {title: len(pictures) for title, pictures in columns.items()}
    counts = {*lengths.values(), *map(len, captions.values()), len(rows) or max(lengths.values())}
    if len(counts) != 1 or 0 in counts:
        raise Refusal(f'Every column needs the same number (> 0) of pictures, got {lengths}.')
    font = max(cell // 11, 9)

    def fill(text: str) -> str:
        return '\n'.join(textwrap.fill(part, int(cell / font / 0.6)) for part in text.splitlines())

    def space(texts: Sequence[str]) -> float:
        return max((1.3 * font * (1 + fill(text).count('\n')) for text in texts), default=0)

    count, left = counts.pop(), gap + (cell + gap if rows else 0)
    top, below = space([*columns]) + gap, space([text for c in captions.values() for text in c])
    width, height = left + (cell + gap) * len(columns), top + (cell + below + gap) * count
    figure = Figure((width / 72, height / 72), dpi=72)  # a point is a pixel
    canvas = FigureCanvasAgg(figure)
    figure.subplots_adjust(
        left / width, (below + gap) / height, 1 - gap / width, 1 - top / height, gap / cell,
        (below + gap) / cell,
    )  # fmt: skip
    axes = figure.subplots(count, len(columns), squeeze=False)
    for column, (title, pictures) in zip(axes.T, columns.items(), strict=True):
        column[0].set_title(fill(title), fontsize=font, pad=gap)
        for y, (place, picture) in enumerate(zip(column, pictures, strict=True)):
            # Nearest keeps the pixels of an enlarged label map visible.
            method = 'nearest' if max(picture.shape[:2]) <= cell else None
            place.imshow(picture, interpolation=method)
            place.set(adjustable='datalim', xticks=[], yticks=[], frame_on=False)
            if title in captions:
                place.set_xlabel(fill(captions[title][y]), fontsize=font, labelpad=1)
    for place, title in zip(axes[:, 0], rows, strict=False):
        place.text(-0.5 - gap / cell, 0.5, fill(title), ha='center', va='center', fontsize=font,
                   transform=place.transAxes)  # fmt: skip
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
