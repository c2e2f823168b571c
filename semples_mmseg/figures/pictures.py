"""CAMs over images, label maps in colour, and tables of pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..utils.errors import Refusal
from ..utils.label_png import IGNORED

# Has Latin, Greek, Cyrillic and Arabic letters; Pillow's own font has fewer.
FONT = Path(matplotlib.get_data_path()) / 'fonts' / 'ttf' / 'DejaVuSans.ttf'


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
    size = max(cell // 11, 9)
    font = ImageFont.truetype(FONT, size)
    titles = [_wrap(title, font, cell) for title in columns]
    row_titles = [_wrap(title, font, cell) for title in rows]
    below = {title: [_wrap(t, font, cell) for t in texts] for title, texts in captions.items()}
    line = round(1.3 * size)
    top = line * _most_lines(titles) + gap
    bottom = line * _most_lines(sum(below.values(), []))
    left = gap + (cell + gap if rows else 0)
    step, down = cell + gap, cell + bottom + gap
    canvas = Image.new('RGB', (left + step * len(columns), top + down * counts.pop()), 'white')
    draw = ImageDraw.Draw(canvas)

    def write(x: float, y: float, text: str, anchor: str) -> None:
        spacing = line - size
        draw.multiline_text((x, y), text, 'black', font, anchor, align='center', spacing=spacing)

    for y, title in enumerate(row_titles):
        write(gap + cell / 2, top + y * down + cell / 2, title, 'mm')
    for x, (title, pictures) in enumerate(columns.items()):
        centre = left + x * step + cell / 2
        write(centre, (top - gap) / 2, titles[x], 'mm')
        for y, picture in enumerate(pictures):
            height, width = picture.shape[:2]
            scale = cell / max(height, width)
            fitted = (max(round(width * scale), 1), max(round(height * scale), 1))
            # Nearest keeps the pixels of an enlarged label map visible.
            method = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
            offset = ((cell - fitted[0]) // 2, (cell - fitted[1]) // 2)
            place = (left + x * step + offset[0], top + y * down + offset[1])
            canvas.paste(Image.fromarray(picture).resize(fitted, method), place)
            if title in below:
                write(centre, top + y * down + cell + bottom / 2, below[title][y], 'mm')
    return np.asarray(canvas)


def _most_lines(texts: Sequence[str]) -> int:
    return max((text.count('\n') + 1 for text in texts), default=0)


def _wrap(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Break the lines of a text to ``width`` pixels, inside words where they are longer."""
    lines: list[str] = []
    for given in text.splitlines():
        lines.append('')
        for word in given.split():
            joined = f'{lines[-1]} {word}'.strip()
            if font.getlength(joined) <= width:
                lines[-1] = joined
                continue
            lines.append('')
            for letter in word:
                if font.getlength(lines[-1] + letter) > width:
                    lines.append('')
                lines[-1] += letter
    return '\n'.join(line for line in lines if line)
