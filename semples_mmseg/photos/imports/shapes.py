"""Shapes of label tools as pixels, each by the rule of its tool; wrong data are a ValueError."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw

from ...prepare.coco import Region, decode_region
from ...utils.errors import Refusal
from ...utils.images import open_image
from .sources import Regions, Size


def polygons(parts: Iterable[Any], size: Size) -> np.ndarray:
    """Pixels in any of some polygons by COCO's rule; less than three corners have none."""
    flat = [np.asarray(part, np.float64).ravel().tolist() for part in parts]
    flat = [part for part in flat if len(part) >= 6]
    return decode_region(Region(1, False, flat, 0), size) if flat else np.zeros(size, bool)


def fill_outlines(parts: Iterable[Any], size: Size) -> np.ndarray:
    """Pixels in outlines, as shares of width and height, with their border, as YOLO tools do."""
    drawn = np.zeros(size, np.uint8)
    for part in parts:
        corners = np.asarray(part, np.float64).reshape(-1, 1, 2)
        if not np.isfinite(corners).all():  # OpenCV draws for hours
            raise ValueError('a corner is no number')
        pixels = np.clip(corners, 0, 1) * size[::-1]
        cv2.fillPoly(drawn, [np.rint(pixels).astype(np.int32)], 1)
    return drawn > 0


def labelme_shape(shape: Mapping[str, Any], size: Size) -> np.ndarray | None:
    """Pixels of a mask or polygon by labelme's rule; None of other shapes."""
    kind, points = shape.get('shape_type') or 'polygon', np.asarray(shape['points'], np.float64)
    if kind == 'mask':
        left, top = points[0].astype(int).tolist()
        with open_image(base64.b64decode(shape['mask']), 'of a shape', 'mask', ('PNG',)) as image:
            return _placed(np.array(image.convert('L')) > 0, left, top, size)
    if kind not in ('polygon', 'oriented_rectangle') or len(points) < 3:
        return None
    corners = np.clip(points, -max(size), 2 * max(size))  # Pillow takes hours for far ones
    drawn = Image.new('1', size[::-1])
    ImageDraw.Draw(drawn).polygon([*map(tuple, corners.tolist())], fill=1, outline=1)
    return np.array(drawn)


def cvat_mask(shape: Mapping[str, str], size: Size) -> np.ndarray:
    """CVAT's run lengths, zeros first, row by row, of a box in a picture."""
    left, top, width, height = (int(shape[key]) for key in ('left', 'top', 'width', 'height'))
    counts = [int(count) for count in shape['rle'].split(',')]
    if min(counts) < 0 or not sum(counts) == width * height <= size[0] * size[1]:
        raise ValueError(f'run lengths of {sum(counts)} pixels for {width} x {height}')
    values = np.repeat(np.arange(len(counts)) % 2 > 0, counts)
    return _placed(values.reshape(height, width), left, top, size)


def _placed(crop: np.ndarray, left: int, top: int, size: Size) -> np.ndarray:
    """A crop, bool (h, w), in its picture."""
    (height, width), region = crop.shape, np.zeros(size, bool)
    if min(left, top) < 0 or top + height > size[0] or left + width > size[1]:
        raise ValueError(f'a mask of {width} x {height} at {left}, {top} leaves the picture')
    region[top : top + height, left : left + width] = crop
    return region


def decode_brush(code: Sequence[int], size: Size) -> np.ndarray:
    """The inverse of ``encode_brush``, of any such code: a pixel with alpha is in the region."""
    bits = np.unpackbits(np.array(code, np.uint8))
    text, total, place = (bits + ord('0')).tobytes().decode(), 4 * size[0] * size[1], 53
    if int(text[:32], 2) != total or int(text[32:37], 2) != 7:
        raise ValueError(f'a brush that does not have the bytes of {size[1]} x {size[0]} pixels')
    widths = [int(text[i : i + 4], 2) + 1 for i in range(37, 53, 4)]
    values, done = np.zeros(total, np.uint8), 0
    while done < total:
        repeated, width = text[place] == '1', widths[int(text[place + 1 : place + 3], 2)]
        place += 3 + width
        count = int(text[place - width : place], 2) + 1
        length = 8 if repeated else 8 * count
        if done + count > total or place + length > len(bits):
            raise ValueError('a brush that ends too early or too late')
        values[done : done + count] = np.packbits(bits[place : place + length])
        place, done = place + length, done + count
    return values[3::4].reshape(size) > 0


def png_regions(
    content: bytes, where: str, names: Mapping[int, str], colours: Mapping[Any, str]
) -> tuple[Size, Regions]:
    """Size and regions of a PNG, by names of ids and of colours (R, G, B).

    Colours count where all are known, because programs sort palettes anew; else ids do. All that is
    unknown is one region.
    """
    with open_image(content, where, 'mask', ('PNG',)) as image:
        if image.mode not in ('P', 'L', 'RGB', 'RGBA') or (image.mode == 'L' and content[24] != 8):
            raise Refusal(f'{where} is an image of mode {image.mode}: save 8-bit palette or colour')
        ids, palette = np.array(image), np.reshape(image.getpalette('RGB') or (), (-1, 3))
    size, coloured = ids.shape[:2], ids.ndim == 3
    if coloured:
        ids = ids[..., :3].astype(np.int64) @ (1 << 16, 1 << 8, 1)
    used, places = np.unique(ids, return_inverse=True)
    keys: list[Any] = [(code >> 16, code >> 8 & 255, code & 255) for code in used.tolist()]
    if not coloured:
        keys = [tuple(palette[code : code + 1].ravel().tolist()) for code in used.tolist()]
    found = [colours.get(key) for key in keys]
    if not coloured and not all(found):
        keys, found = used.tolist(), [names.get(code) for code in used.tolist()]
    other = next((f'value {key}' for key, name in zip(keys, found, strict=True) if not name), '')
    order = list(dict.fromkeys(name or other for name in found))
    labels = np.array([order.index(name or other) for name in found])[places.reshape(size)]
    return size, ((name, labels == number) for number, name in enumerate(order))
