"""Formats that are folders of PNGs, lists and texts: VOC, CVAT, Ultralytics (YOLO)."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from PIL import Image
from scipy import ndimage

from ...utils.errors import Refusal
from ...utils.io import atomic_write
from ...utils.label_png import IGNORED, full_palette, write_mask
from .labelled import LabelledPhotos, regions

_LIST = 'ImageSets/Segmentation/default.txt'


def write_voc(labelled: LabelledPhotos, folder: Path) -> None:
    """PASCAL VOC: ``SegmentationClass/<stem>.png`` in palette mode, a list, ``labelmap.txt``.

    Undecided pixels stay 255; ``labelmap.txt`` then has their colour too, as Datumaro asks.
    """
    stems, lines, ignored = labelled.flat_names(), _label_map(labelled), False
    _write(folder / _LIST, stems.values())
    for photo, label in labelled.read(keep_undecided=True):
        ignored |= bool((label == IGNORED).any())
        write_mask(folder / 'SegmentationClass' / f'{stems[photo]}.png', label, labelled.palette)
    if ignored:
        lines.append(f'ignored:{",".join(map(str, full_palette()[-3:]))}::')
    _write(folder / 'labelmap.txt', lines)


def write_cvat(labelled: LabelledPhotos, archive: Path) -> None:
    """CVAT's "Segmentation mask 1.1": a zip archive of colour masks, and of masks of instances.

    An instance is a connected piece of a class, or the class where a photo has more than 254.
    """
    stems = labelled.flat_names()
    class_colours, piece_colours = (
        np.array(full_palette(palette), np.uint8).reshape(-1, 3)
        for palette in (labelled.palette, ())
    )
    with (
        atomic_write(archive, 'wb') as stream,
        zipfile.ZipFile(stream, 'w', zipfile.ZIP_DEFLATED) as file,
    ):
        file.writestr('labelmap.txt', '\n'.join([*_label_map(labelled), '']))
        file.writestr(_LIST, '\n'.join([*stems.values(), '']))
        for photo, label in labelled.read():
            pieces = np.zeros(label.shape, np.int64)
            for number, (_, region) in enumerate(regions(label, split=True), 1):
                pieces[region] = number
            if pieces.max() > 254:
                pieces = label.astype(np.int64)
            for kind, colours in (
                ('Class', class_colours[label]),
                ('Object', piece_colours[pieces]),
            ):
                content = io.BytesIO()
                Image.fromarray(colours).save(content, format='PNG')
                file.writestr(f'Segmentation{kind}/{stems[photo]}.png', content.getvalue())


def write_yolo(labelled: LabelledPhotos, folder: Path) -> None:
    """Ultralytics: ``labels/<stem>.txt`` with one polygon a line, and ``data.yaml``.

    Every fifth photo is for validation. A line is the class, from 0 without the background, and the
    corners of an outline divided by width and height; holes become part of their region.
    """
    stems = labelled.flat_names()
    for photo, label in labelled.read():
        lines = [
            f'{index - 1} ' + ' '.join(f'{value:.6f}' for value in corners.ravel())
            for index, region in regions(label)
            for corners in outlines(region)
        ]
        _write(folder / 'labels' / f'{stems[photo]}.txt', lines)
    quoted = [json.dumps(name, ensure_ascii=False) for name in labelled.classes[1:]]
    names = [f'  {index}: {name}' for index, name in enumerate(quoted)]
    _write(folder / 'data.yaml', ['train: train.txt', 'val: val.txt', 'names:', *names])
    images = [f'./images/{name}{PurePosixPath(photo).suffix}' for photo, name in stems.items()]
    held_out = images[4::5] or images[-1:]
    _write(folder / 'val.txt', held_out)
    _write(folder / 'train.txt', [name for name in images if name not in held_out] or images)


def outlines(region: np.ndarray) -> list[np.ndarray]:
    """Corners (n, 2) of the outline of every piece of a region, bool (H, W), as shares of its size.

    Corners are pixels of the region plus a quarter of a pixel. Ultralytics rounds a coordinate
    down, supervision to the nearest integer, and both fill a polygon with its border, so both
    restore the region.
    """
    filled = ndimage.binary_fill_holes(region).astype(np.uint8)
    found, _ = cv2.findContours(filled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [(corners[:, 0] + 0.25) / region.shape[::-1] for corners in found if len(corners) > 2]


def _label_map(labelled: LabelledPhotos) -> list[str]:
    """Lines of ``labelmap.txt``, ``name:R,G,B::``; ``:`` or a first ``#`` would break a line."""
    if wrong := [name for name in labelled.classes if ':' in name or name[0] == '#']:
        raise Refusal(
            f'labelmap.txt cannot hold the class {wrong[0]!r} (":" or "#" at the beginning): '
            'choose another --format than voc or cvat'
        )
    pairs = zip(labelled.classes, labelled.palette, strict=True)
    return [f'{name}:{",".join(map(str, colour))}::' for name, colour in pairs]


def _write(path: Path, lines: Iterable[str]) -> None:
    with atomic_write(path) as file:
        file.writelines(f'{line}\n' for line in lines)
