"""Semantic masks from COCO's instances: outlines and run lengths, one over another."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from ..utils.images import open_image, read_image_bytes
from ..utils.label_png import write_mask

PAINTING = 'smaller over larger by area in pixels, later over earlier of one size, crowd 255'
CROWD = 255


@dataclass
class Region:
    """One annotation.

    Attributes:
        label: 1..80.
        crowd: Whether it marks a crowd, in which objects are not told apart.
        segmentation: As in the file: a list of polygons [x1, y1, x2, y2, ...], or a run-length
            code ``{'counts': ..., 'size': [height, width]}``, compressed or not.
        id: Of the annotation, for error messages.
    """

    label: int
    crowd: bool
    segmentation: Any
    id: int


def decode_region(region: Region, size: tuple[int, int]) -> np.ndarray:
    """Pixels of a region, bool of shape (height, width).

    Run lengths are decoded here and outlines checked before pycocotools gets them: it is C code
    that returns memory it never wrote for short runs, and makes room for as many points as the
    corners of an outline are apart.

    Raises:
        ValueError: If its segmentation is none of the three kinds, or of another size.
    """
    coded = region.segmentation
    try:
        if isinstance(coded, list):
            if not coded:
                raise ValueError('no polygon')
            polygons = [_checked_polygon(polygon, size) for polygon in coded]
            return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, *size))) > 0
        if tuple(coded['size']) != size:
            raise ValueError(f'run lengths of size {coded["size"]}, the image has {size}')
        counts = coded['counts']
        return _fill(counts if isinstance(counts, list) else _uncompressed(counts), size)
    except (TypeError, KeyError, ValueError, OverflowError, AttributeError) as error:
        raise ValueError(f'annotation {region.id} has no valid segmentation: {error}') from error


def _checked_polygon(polygon: Sequence[float], size: tuple[int, int]) -> list[float]:
    """The corners of a polygon that is about as large as its image."""
    if not isinstance(polygon, list) or len(polygon) % 2:
        raise ValueError('a polygon is a list [x1, y1, x2, y2, ...]')
    corners = np.array(polygon, np.float64).reshape(-1, 2)
    if len(corners) < 3:  # pycocotools takes lists of four numbers for boxes
        raise ValueError('a polygon of less than three corners')
    margin = max(size)
    if not (np.isfinite(corners).all() and np.abs(corners).max() <= 2 * margin):
        raise ValueError('a polygon far outside of the image')
    steps = np.abs(corners - np.roll(corners, 1, 0)).max(1)
    if steps.sum() > 4 * (size[0] * size[1] + margin + 100):
        raise ValueError('a polygon longer than all pixels of the image')
    return polygon


def _uncompressed(text: str | bytes) -> list[int]:
    """Run lengths from COCO's text: 5 bits a letter, from the third number on as differences."""
    counts: list[int] = []
    value = shift = 0
    for letter in text.encode('ascii') if isinstance(text, str) else text:
        bits = letter - 48
        if not 0 <= bits < 64 or shift > 30:
            raise ValueError('run lengths of letters that no encoder writes')
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError('run lengths that end within a number')
    return counts


def _fill(counts: Sequence[int], size: tuple[int, int]) -> np.ndarray:
    """Pixels of run lengths, which go down the columns and begin with those outside."""
    runs = np.array(counts, np.int64)
    if runs.ndim != 1 or runs.min(initial=0) < 0 or runs.max(initial=0) > size[0] * size[1]:
        raise ValueError('run lengths have to be numbers of pixels')
    if runs.sum() != size[0] * size[1]:
        raise ValueError(f'run lengths of {runs.sum()} pixels, the image has {size[0] * size[1]}')
    inside = np.arange(len(runs)) % 2 == 1
    return np.repeat(inside, runs).reshape(size[::-1]).T


def paint(regions: Sequence[Region], size: tuple[int, int]) -> np.ndarray:
    """Paint the regions of an image, smaller ones over larger ones.

    A crowd is 255, at its place in the order like any other region.

    Args:
        regions: In the order of the file, which decides between regions of one area.
        size: (height, width).

    Returns:
        uint8 (height, width): 0 background, 1..80, or 255.
    """
    decoded = [decode_region(region, size) for region in regions]
    mask = np.zeros(size, np.uint8)
    # stable: of one area, the later region is painted later
    for index in sorted(range(len(regions)), key=lambda index: -int(decoded[index].sum())):
        region = regions[index]
        mask[decoded[index]] = CROWD if region.crowd else region.label
    return mask


def write_image_mask(
    path: str | os.PathLike,
    image: str | os.PathLike,
    size: tuple[int, int],
    regions: Sequence[Region],
) -> None:
    """Paint the mask of one image and write it as an 8-bit palette PNG.

    Args:
        path: The mask.
        image: The image, opened for its size alone.
        size: (height, width) in the annotation file.
        regions: What is annotated.

    Raises:
        ValueError: If the image cannot be read or has another size, or an outline is not valid.
    """
    try:
        with open_image(read_image_bytes(image), image) as opened:
            found = opened.size[::-1]
    except (OSError, ValueError) as error:
        raise ValueError(f'image {image} cannot be read ({error}): download it again') from error
    if found != size:
        raise ValueError(
            f'image {image} is {found[0]} x {found[1]} (height x width), the annotation file says '
            f'{size[0]} x {size[1]}: image and annotations are not of one release'
        )
    try:
        write_mask(path, paint(regions, size))
    except ValueError as error:
        raise ValueError(f'mask of {image}: {error}') from error
