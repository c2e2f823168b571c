"""A tiny COCO 2014 on disk: annotation files as downloaded, and random images."""

import json

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from semples_mmseg.datasets import COCO_CLASSES

# The ids of COCO's categories: 1 to 90 without these ten.
UNUSED = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
IDS = [number for number in range(1, 91) if number not in UNUSED]
SIZE = (30, 40)


def box(left, top, right, bottom):
    """A polygon that covers the pixels left..right-1, top..bottom-1."""
    return [[left, top, right, top, right, bottom, left, bottom]]


def runs(rows, columns):
    """A crowd's uncompressed run lengths, column by column."""
    pixels = np.zeros(SIZE, bool)
    pixels[rows, columns] = True
    flat = pixels.flatten(order='F')
    ends = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *ends, flat.size]).tolist()
    return dict(counts=[0, *counts] if flat[0] else counts, size=list(SIZE))


def instances(split):
    """Four images: overlaps, crowds, nothing, a compressed code."""
    shapes = [
        # the small cat is listed first and must still end up over the large table
        (1, 'cat', 0, box(5, 5, 15, 15)),
        (1, 'dining table', 0, box(0, 0, 30, 20)),
        (1, 'person', 1, runs(slice(10, 30), slice(0, 8))),
        # two of one size: the later one is on top; and a dog in a larger crowd
        (2, 'dog', 0, box(0, 0, 10, 10)),
        (2, 'toothbrush', 0, box(5, 5, 15, 15)),
        (2, 'person', 1, runs(slice(15, 30), slice(0, 40))),
        (2, 'dog', 0, box(30, 20, 36, 28)),
    ]
    solid = np.asfortranarray(np.pad(np.ones((4, 4), np.uint8), ((2, 24), (3, 33))))
    packed = coco_mask.encode(solid)
    packed = dict(size=packed['size'], counts=packed['counts'].decode())
    shapes.append((4, 'tv', 0, packed))
    return dict(
        images=[
            dict(id=n, file_name=f'COCO_{split}2014_{n:012d}.jpg', height=SIZE[0], width=SIZE[1])
            for n in (4, 2, 3, 1)
        ],
        annotations=[
            dict(
                id=100 + n,
                image_id=image,
                category_id=IDS[COCO_CLASSES.index(name)],
                iscrowd=crowd,
                segmentation=segmentation,
                area=1,
            )
            for n, (image, name, crowd, segmentation) in enumerate(shapes)
        ],
        # the order of the file does not matter, that of the ids does
        categories=[
            dict(id=number, name=name)
            for number, name in reversed(list(zip(IDS, COCO_CLASSES, strict=True)))
        ],
    )


def make_coco_tree(root):
    """A COCO of four images a split; the third has no annotations, nor is it on disk."""
    (root / 'annotations').mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split in ('train', 'val'):
        (root / f'annotations/instances_{split}2014.json').write_text(json.dumps(instances(split)))
        (root / f'{split}2014').mkdir()
        for n in (1, 2, 4):
            image = Image.fromarray(rng.integers(0, 256, (*SIZE, 3), np.uint8))
            image.save(root / f'{split}2014' / f'{stem(n, split)}.jpg')
    return root


def stem(n, split='val'):
    """Image id."""
    return f'COCO_{split}2014_{n:012d}'
