"""Label Studio tasks with brush predictions, and the labelling configuration they need."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from ...utils.label_png import class_colours
from .labelled import LabelledPhotos, regions

_WORD = 8
_COUNT_BITS = (3, 4, 8, 16)


def labelstudio_tasks(labelled: LabelledPhotos, url: str) -> list[dict[str, Any]]:
    """One task a photo, with one brush region for every class.

    Args:
        labelled: The photos.
        url: Prefix of the path of a photo, e.g.
            ``/data/local-files/?d=photos/`` where Label Studio serves local files.
    """
    tasks: list[dict[str, Any]] = []
    for photo, label in labelled.read():
        height, width = label.shape
        results = [
            dict(
                id=f'{len(tasks)}-{index}',
                type='brushlabels',
                from_name='tag',
                to_name='image',
                original_width=width,
                original_height=height,
                image_rotation=0,
                value=dict(
                    format='rle', rle=encode_brush(region), brushlabels=[labelled.classes[index]]
                ),
            )
            for index, region in regions(label, split=False)
        ]
        prediction = dict(model_version='semples-mmseg', result=results)
        tasks.append(dict(data=dict(image=url + photo), predictions=[prediction]))
    return tasks


def labelstudio_config(labelled: LabelledPhotos) -> str:
    """The labelling configuration (XML) that the names in the tasks refer to."""
    colours = class_colours(len(labelled.classes), labelled.palette)
    labels = '\n'.join(
        f'    <Label value={quoteattr(name)} background="#{red:02x}{green:02x}{blue:02x}"/>'
        for name, (red, green, blue) in list(zip(labelled.classes, colours, strict=True))[1:]
    )
    return (
        '<View>\n  <Image name="image" value="$image" zoom="true"/>\n'
        f'  <BrushLabels name="tag" toName="image">\n{labels}\n  </BrushLabels>\n</View>\n'
    )


def encode_brush(region: np.ndarray) -> list[int]:
    """A region as Label Studio's run-length code: the bytes of a packed RGBA image.

    Every pixel has four equal bytes, 255 inside the region and 0 outside. The code is a header of
    57 bits (number of bytes, word size, widths of the counts) and then, for each run, one bit for
    "repeated", two for the width of its count, the count - 1, and the byte.

    Args:
        region: bool (H, W).
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
