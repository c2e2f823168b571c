"""Corrected masks of a run: ``semples-mmseg import``."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import ExifTags, Image, ImageOps
from scipy import ndimage

from ...utils.errors import Refusal
from ...utils.files import read_bytes
from ...utils.images import max_pixels, open_image
from ...utils.io import folder_lock, remove_leftovers
from ...utils.label_png import IGNORED, mask_path, read_mask, write_classes, write_mask
from ...utils.lists import explain_unknown
from ...utils.names import count
from ...utils.parallel import progress
from ...utils.photo_names import PhotoNames
from ..exports.folders import outlines
from ..exports.labelled import LabelledPhotos, regions
from ..exports.writing import labelled_run
from ..run import CORRECTED, Run
from .folders import read_cvat_xml, read_pngs, read_yolo
from .json_formats import FILLED, read_json_formats
from .shapes import fill_outlines
from .sources import Notes, Picture, Source, readable

_NO_CLASS = {'background': 0, '_background_': 0}
_NO_CLASS |= dict.fromkeys(('ignored', '__ignore__', 'void'), IGNORED)
"""Names of label tools for no class."""
_ORIENTATION = ExifTags.Base.Orientation

_NO_PHOTO = 'pictures of no photo of the run, or of several, left out'
_TWICE = 'second masks of a photo, which is left out'
_EMPTY = 'pictures without any region of a tagged photo: not annotated, or background by --empty'
_SIZE = 'masks of another size than their photo, turned by EXIF or scaled; left out if not alike'
_UNKNOWN = 'regions of unknown classes, undecided now (255) unless --map names their class'
_UNDECIDED = 'masks with undecided pixels (255), which training leaves out'
_OVERLAP = 'masks with classes over one another, the later or smaller one on top'


def import_masks(
    run: str | Path,
    corrected: str | Path,
    *,
    photos: str | Path | None = None,
    renames: Mapping[str, str] | None = None,
    empty: bool = False,
) -> list[str]:
    """Write ``run/corrected``: masks that were changed in a label tool; all of them, or none.

    Masks that are as an export of ``run/masks`` has them are not corrected ones. Those of earlier
    imports stay where this one has none.

    Args:
        run: Folder that was ``--out`` of ``semples-mmseg fit``.
        corrected: A file, folder or zip archive of labelme, CVAT ("Segmentation mask 1.1", XML),
            Label Studio (JSON, COCO), COCO, YOLO, VOC or masks named as those of ``run/masks``.
        photos: Folder of the photos, if it was moved.
        renames: Class of the run by name in the tool; ``background``, or ``''`` for left out.
        empty: Whether pictures without regions are background, though their photo has tags.

    Returns:
        A line for every kind of finding, and at last how many masks there are.

    Raises:
        Missing: If there is no run, no mask, or a photo is missing.
        Refusal: If the source is of no known form, damaged, or has no photo of the run.
    """
    opened, notes, source = Run.open(Path(run)), Notes(list), Source(Path(corrected))
    labelled, new = labelled_run(opened, photos), opened.folder / '.import'
    tags = opened.labels()
    shares, same, seen, form = dict[str, float](), set[str](), set[str](), ''
    with folder_lock(opened.folder), contextlib.ExitStack() as end:
        end.callback(discard, new)
        record = opened.record(f'take all back: semples-mmseg import {run} --undo')
        record.state(CORRECTED, {}, {})  # refuses masks that were changed in the folder
        discard(new)  # of an import that was killed
        remove_leftovers(opened.corrected, recursive=True)
        labels = _labels(source, labelled, renames or {}, notes)
        for form, where, name, label, own in progress(labels, 'masks'):
            if name in seen:
                notes[_TWICE].append(where)
                shares.pop(name, None)
                same.discard(name)
            elif any(np.array_equal(label, exported) for exported in _exported(own, form)):
                same.add(name)
            elif not label.any() and tags[name] and not empty:
                notes[_EMPTY].append(where)
            else:
                write_mask(mask_path(new, name), label, labelled.palette)
                shares[name] = round(float((label != own).mean()), 6)
            seen.add(name)
        if not seen:
            example = next((f': {met[0]}' for met in notes.values()), '')
            raise Refusal(f'{corrected} has no mask of a photo of {run}{example}')
        masks = opened.made_by_hand() | shares
        masks = {name: masks[name] for name in sorted(masks.keys() - same)}
        record.begin(CORRECTED, {}, {}, anew=True, masks=masks)
        write_classes(opened.corrected, labelled.classes, labelled.palette)
        for name in shares:
            (target := mask_path(opened.corrected, name)).parent.mkdir(parents=True, exist_ok=True)
            os.replace(mask_path(new, name), target)
        for name in same:
            mask_path(opened.corrected, name).unlink(missing_ok=True)
        files = [mask_path(opened.corrected, name) for name in masks]
        record.finish(CORRECTED, [opened.corrected / 'classes.json', *files])
    lines = [f'{kind}: {len(met)}, first: {met[0]}' for kind, met in notes.items()]
    counts = f'{count(len(shares), "corrected mask")}, {len(same)} as fit made them'
    return [*lines, f'{form}: {counts}; {opened.corrected} has {len(masks)} now']


def undo_imports(run: str | Path) -> int:
    """Remove all corrected masks and what was trained on them; return their number."""
    opened = Run.open(Path(run))
    with folder_lock(opened.folder):
        number = len(opened.made_by_hand())
        for folder in (opened.retrained, opened.corrected):
            discard(folder)
        opened.record().forget(CORRECTED)
    return number


def discard(folder: Path) -> None:
    """Remove a folder at once, so that a stopped removal leaves no half of it."""
    aside = folder.with_name(f'.{folder.name}.old')
    shutil.rmtree(aside, ignore_errors=True)
    if folder.exists():
        os.replace(folder, aside)
        shutil.rmtree(aside)


def _labels(
    source: Source, labelled: LabelledPhotos, renames: Mapping[str, str], notes: Notes
) -> Iterator[tuple[str, str, str, np.ndarray, np.ndarray]]:
    """Form, place, image id, label map and former mask, of every picture of a photo of the run."""
    masks, known = (
        dict(labelled.names),
        PhotoNames([photo for photo, _ in labelled.names], labelled.photos),
    )
    flat = {name: [photo] for photo, name in labelled.flat_names().items()}
    ids = _NO_CLASS | {name: index for index, name in enumerate(labelled.classes)}
    if wrong := [name for name in renames.values() if name and name not in ids]:
        raise Refusal(f'--map: {explain_unknown(wrong[0], labelled.classes[1:])}')
    for form, picture in _pictures(source, labelled, notes):
        text, found = str(picture.photo).replace('\\', '/'), list[str]()
        path = PurePosixPath(text)
        for asked in (text, text.removesuffix(path.suffix), path.name, path.stem):
            # A mask of our own has the name of its photo, without the suffix.
            found = found or (form != 'PNG' and flat.get(asked)) or known.find(asked)
        if len(found) != 1:
            notes[_NO_PHOTO].append(picture.where)
            continue
        own = read_mask(labelled.masks / masks[found[0]])
        label = _label(picture, labelled.photos / found[0], own, ids, renames, notes)
        if label is not None:
            yield form, picture.where, masks[found[0]].removesuffix('.png'), label, own


def _pictures(
    source: Source, labelled: LabelledPhotos, notes: Notes
) -> Iterator[tuple[str, Picture]]:
    """Form and pictures by the first reader that knows the files."""
    for found in (
        read_cvat_xml(source, notes),
        read_json_formats(source, notes),
        read_yolo(source, notes),
        read_pngs(source, labelled.classes, labelled.palette),
    ):
        if first := next(found, None):
            yield first
            yield from found
            return
    raise Refusal(
        f'{source.path} holds no masks of a known form: export them from labelme, CVAT or Label '
        'Studio, or as COCO, YOLO or VOC, or give PNG files named as those of run/masks'
    )


def _label(
    picture: Picture,
    photo: Path,
    own: np.ndarray,
    ids: Mapping[str, int],
    renames: Mapping[str, str],
    notes: Notes,
) -> np.ndarray | None:
    """The label map of a picture in the size of its photo; None if it has another shape."""
    size = picture.size or own.shape
    if size != own.shape:
        notes[_SIZE].append(f'{picture.where}, {size[1]} x {size[0]}')
        with open_image(read_bytes(photo), photo) as image:
            lies, orientation = image.size[::-1] == size, image.getexif().get(_ORIENTATION, 1)
        alike = abs(size[0] * own.shape[1] - size[1] * own.shape[0]) <= max(*size, *own.shape)
        if not (lies or alike) or size[0] * size[1] > max_pixels():
            return None
    met = set[str]()
    with readable(picture.where):
        label = np.zeros(size, np.uint8)
        for name, pixels in picture.regions(size):
            if (name := renames.get(name, name)) == '' or not pixels.any():
                continue
            index = ids.get(name, IGNORED)
            if name not in ids:
                hint = explain_unknown(name, [*ids][len(_NO_CLASS) :])
                notes[_UNKNOWN].append(f'{picture.where}, {hint}')
            elif index == IGNORED:
                met.add(_UNDECIDED)
            if np.setdiff1d(label[pixels], (0, index)).size:
                met.add(_OVERLAP)
            label[pixels] = index
    for index, region in regions(own) if picture.outlined and size == own.shape else ():
        if (ndimage.binary_fill_holes(region) & ~region & (label == index)).any():
            met.add(FILLED)
    for kind in sorted(met):
        notes[kind].append(picture.where)
    turned = Image.fromarray(label)
    if size == own.shape or not lies or picture.stretched:
        return np.array(turned.resize(own.shape[::-1], Image.Resampling.NEAREST))
    turned.getexif()[_ORIENTATION] = orientation
    return np.array(ImageOps.exif_transpose(turned))


def _exported(own: np.ndarray, form: str) -> Iterator[np.ndarray]:
    """A mask of the run as exports of it are read."""
    decided = np.where(own == IGNORED, 0, own)
    yield from (own, decided)
    if form == 'YOLO':
        drawn = np.zeros_like(own)
        for index, region in regions(decided):
            rounded = [np.round(corners, 6) for corners in outlines(region)]
            drawn[fill_outlines(rounded, own.shape)] = index
        yield drawn
