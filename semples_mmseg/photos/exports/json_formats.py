"""Formats that are JSON: COCO, labelme (5.4 and later), Label Studio."""

from __future__ import annotations

import base64
import io
import os
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from ...utils.io import write_json
from .labelled import LabelledPhotos, regions

_WORD = 8
_COUNT_BITS = (3, 4, 8, 16)


def coco_json(labelled: LabelledPhotos, split: bool = False) -> dict[str, Any]:
    """The content of a COCO annotation file, with run-length encoded regions.

    Category ids are the ids of the masks. With ``split`` each connected piece of a class is an
    annotation, as CVAT needs it.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for photo, label in labelled.read():
        height, width = label.shape
        images.append(dict(id=len(images) + 1, file_name=photo, width=width, height=height))
        for category, region in regions(label, split):
            code = coco_mask.encode(np.asfortranarray(region.astype(np.uint8)))
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=len(images),
                    category_id=category,
                    segmentation=dict(size=[height, width], counts=code['counts'].decode()),
                    area=int(region.sum()),
                    bbox=coco_mask.toBbox(code).tolist(),
                    iscrowd=0,
                )
            )
    categories = [
        dict(id=index, name=name, supercategory='')
        for index, name in enumerate(labelled.classes[1:], 1)
    ]
    return dict(images=images, annotations=annotations, categories=categories)


def write_labelme(labelled: LabelledPhotos, folder: Path, final: Path) -> None:
    """Write a file for every photo, in the tree of the photos, below a folder that becomes final.

    Every class is a shape of type ``mask``: the crop between two corners, both included. labelme
    rotates photos by their EXIF orientation, as the loaders here do.
    """
    stems = Counter(PurePosixPath(photo).with_suffix('') for photo, _ in labelled.names)
    for photo, label in labelled.read():
        stem = PurePosixPath(photo).with_suffix('')
        name = f'{photo if stems[stem] > 1 else stem}.json'
        shapes: list[dict[str, Any]] = []
        for index, region in regions(label):
            rows, columns = np.nonzero(region)
            top, left, bottom, right = rows.min(), columns.min(), rows.max(), columns.max()
            stream = io.BytesIO()
            Image.fromarray(region[top : bottom + 1, left : right + 1]).save(stream, format='PNG')
            shapes.append(
                dict(
                    label=labelled.classes[index],
                    points=[[int(left), int(top)], [int(right), int(bottom)]],
                    group_id=None,
                    description='',
                    shape_type='mask',
                    flags={},
                    mask=base64.b64encode(stream.getvalue()).decode(),
                )
            )
        seen = os.path.relpath(labelled.photos / photo, (final / name).parent)
        content = dict(
            version='5.4.0',
            flags={},
            shapes=shapes,
            imagePath=Path(seen).as_posix(),
            imageData=None,
            imageHeight=label.shape[0],
            imageWidth=label.shape[1],
        )
        write_json(folder / name, content, indent=None)


def labelstudio_tasks(labelled: LabelledPhotos, url: str) -> list[dict[str, Any]]:
    """Label Studio: one task a photo, with one predicted brush region for every class."""
    tasks: list[dict[str, Any]] = []
    for photo, label in labelled.read():
        results = [
            dict(
                id=f'{len(tasks)}-{index}',
                type='brushlabels',
                from_name='tag',
                to_name='image',
                original_width=label.shape[1],
                original_height=label.shape[0],
                image_rotation=0,
                value=dict(
                    format='rle', rle=encode_brush(region), brushlabels=[labelled.classes[index]]
                ),
            )
            for index, region in regions(label)
        ]
        prediction = dict(model_version='semples-mmseg', result=results)
        tasks.append(dict(data=dict(image=url + photo), predictions=[prediction]))
    return tasks


def labelstudio_config(labelled: LabelledPhotos) -> str:
    """The labelling configuration (XML) that the names in the tasks refer to."""
    labels = '\n'.join(
        f'    <Label value={quoteattr(name)} background="#{bytes(colour).hex()}"/>'
        for name, colour in list(zip(labelled.classes, labelled.palette, strict=True))[1:]
    )
    return (
        '<View>\n  <Image name="image" value="$image" zoom="true"/>\n'
        f'  <BrushLabels name="tag" toName="image">\n{labels}\n  </BrushLabels>\n</View>\n'
    )


def encode_brush(region: np.ndarray) -> list[int]:
    """A region, bool (H, W), as Label Studio's run-length code: the bytes of a packed RGBA image.

    Every pixel has four equal bytes, 255 inside the region and 0 outside. The code is a header of
    53 bits (number of bytes, word size, widths of the counts) and then, for each run, one bit for
    "repeated", two for the width of its count, the count - 1, and the byte.
    """
    flat = region.ravel()
    starts = np.flatnonzero(np.diff(flat, prepend=~flat[:1]))
    lengths = 4 * np.diff(starts, append=len(flat))
    bits = [f'{4 * len(flat):032b}', f'{_WORD - 1:05b}', *(f'{n - 1:04b}' for n in _COUNT_BITS)]
    longest = 1 << _COUNT_BITS[-1]
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        value = 255 if flat[start] else 0
        for done in range(0, length, longest):
            count = min(longest, length - done) - 1
            size = next(i for i, width in enumerate(_COUNT_BITS) if count < 1 << width)
            bits.append(f'1{size:02b}{count:0{_COUNT_BITS[size]}b}{value:08b}')
    text = ''.join(bits)
    text += '0' * (-len(text) % 8)
    return [int(text[i : i + 8], 2) for i in range(0, len(text), 8)]
