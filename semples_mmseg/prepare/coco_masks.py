"""Semantic masks from COCO's polygons and run lengths, decoded by pycocotools."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from ..utils.errors import Refusal
from ..utils.files import read_bytes
from ..utils.images import open_image
from ..utils.label_png import IGNORED, write_mask

PAINTING = 'smaller over larger by area in pixels, later over earlier of one size, crowd 255'


class Region(NamedTuple):
    """One annotation.

    Attributes:
        label: 1..80.
        crowd: Whether it marks a crowd, in which single objects are not separated.
        segmentation: As in the file: a list of polygons [x1, y1, x2, y2, ...], or a run-length
            code ``{'counts': ..., 'size': [height, width]}``, compressed or not.
        id: Id of the annotation, for error messages.
    """

    label: int
    crowd: bool
    segmentation: Any
    id: int


def decode_region(region: Region, size: tuple[int, int]) -> np.ndarray:
    """Pixels of a region, bool of shape (height, width)."""
    coded = region.segmentation
    try:
        if isinstance(coded, list):
            # pycocotools takes a list of four numbers for a box
            if not coded or any(len(polygon) < 6 or len(polygon) % 2 for polygon in coded):
                raise Refusal('expected polygons [x1, y1, x2, y2, ...] of three corners or more')
            coded = coco_mask.merge(coco_mask.frPyObjects(coded, *size))
        elif tuple(coded['size']) != size:
            raise Refusal(f'run lengths of size {coded["size"]}, the image has {size}')
        elif isinstance(coded['counts'], list):
            if sum(coded['counts']) != size[0] * size[1]:
                raise Refusal(f'run lengths of {sum(coded["counts"])} pixels, the image {size}')
            coded = coco_mask.frPyObjects(coded, *size)
        pixels = coco_mask.decode(coded)
        if pixels.sum() != coco_mask.area(coded):  # pycocotools leaves the rest unset
            raise Refusal('run lengths that end too early')
        return pixels > 0
    except (TypeError, KeyError, ValueError, OverflowError, AttributeError) as error:
        raise Refusal(f'annotation {region.id} has no valid segmentation: {error}') from error


def write_image_mask(job: tuple[str, Path, tuple[int, int], Sequence[Region]]) -> None:
    """Paint and write one mask: its path, the image, the size that it should have, its regions.

    Smaller regions are painted over larger ones, of equal areas the later one over the earlier, a
    crowd as 255 like any other region.
    """
    path, image, size, regions = job
    try:
        with open_image(read_bytes(image, 'image'), image) as opened:
            found = opened.size[::-1]
    except (OSError, ValueError) as error:
        raise Refusal(f'image {image} cannot be read ({error}): download it again') from error
    if found != size:
        raise Refusal(
            f'image {image} is {found[0]} x {found[1]} (height x width), the annotation file says '
            f'{size[0]} x {size[1]}: image and annotations are of different releases'
        )
    try:
        decoded = [(decode_region(region, size), region) for region in regions]
    except ValueError as error:
        raise Refusal(f'mask of {image}: {error}') from error
    mask = np.zeros(size, np.uint8)
    # stable: of equal areas, the later region is painted later
    for pixels, region in sorted(decoded, key=lambda pair: -int(pair[0].sum())):
        mask[pixels] = IGNORED if region.crowd else region.label
    write_mask(path, mask)
