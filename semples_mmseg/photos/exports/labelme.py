"""labelme's JSON (5.4 and later), one file a photo."""

from __future__ import annotations

import base64
import io
import os
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from .labelled import LabelledPhotos, regions


def labelme_json(photo_path: str, label: np.ndarray, classes: tuple[str, ...]) -> dict[str, Any]:
    """The content of a labelme file: one shape of type ``mask`` for every class.

    The mask is the crop between two corners, both included. labelme rotates photos by their EXIF
    orientation, as the loaders here do.

    Args:
        photo_path: The photo as seen from the file.
        label: Class ids (H, W).
        classes: Names of the ids.
    """
    shapes: list[dict[str, Any]] = []
    for index, region in regions(label, split=False):
        picture, stream = Image.fromarray(region), io.BytesIO()
        box = picture.getbbox()
        assert box is not None, 'a region has pixels'
        left, top, right, bottom = box  # the last two lie behind it
        picture.crop(box).save(stream, format='PNG')
        shapes.append(
            dict(
                label=classes[index],
                points=[[left, top], [right - 1, bottom - 1]],
                group_id=None,
                description='',
                shape_type='mask',
                flags={},
                mask=base64.b64encode(stream.getvalue()).decode(),
            )
        )
    height, width = label.shape
    return dict(
        version='5.4.0',
        flags={},
        shapes=shapes,
        imagePath=photo_path,
        imageData=None,
        imageHeight=height,
        imageWidth=width,
    )


def labelme_files(labelled: LabelledPhotos, folder: Path) -> dict[str, dict[str, Any]]:
    """Content of the file of every photo, by its path below ``folder``: the tree of the photos."""
    files = {}
    stems = Counter(str(PurePosixPath(photo).with_suffix('')) for photo, _ in labelled.names)
    for photo, label in labelled.read():
        stem = str(PurePosixPath(photo).with_suffix(''))
        name = f'{photo if stems[stem] > 1 else stem}.json'
        seen = os.path.relpath(labelled.photos / photo, (folder / name).parent)
        files[name] = labelme_json(Path(seen).as_posix(), label, labelled.classes)
    return files
