"""Label maps of a folder of photos on disk; runs where PyTorch is not installed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..utils.errors import Missing, Refusal
from ..utils.images import read_image
from ..utils.io import check_writable, remove_leftovers
from ..utils.label_png import check_num_classes, mask_path, read_mask, write_classes, write_mask
from ..utils.lists import find_photos, image_ids
from ..utils.locks import folder_lock
from ..utils.progress import progress
from ..utils.record import Record
from .overlays import overlay_path, write_overlay

MASKS = 'predictions'
"""Entry of the record."""
OVERLAYS = 'overlays'
"""Subfolder for pictures of the masks over their photos."""


class Model(Protocol):
    """``OnnxModel`` or ``TorchModel``.

    Attributes:
        classes: Names of the ids, background first.
        palette: RGB of the ids.
    """

    classes: tuple[str, ...]
    palette: tuple[tuple[int, ...], ...]

    def predict(self, photo: str | os.PathLike | np.ndarray) -> np.ndarray:
        """Class ids, uint8 (H, W), of a photo: a path or uint8 RGB (H, W, 3)."""


@dataclass(frozen=True)
class Predicted:
    """What was done.

    Attributes:
        masks: Number of masks written now.
        there: Number of masks that were there already.
        unreadable: A message for every photo that could not be read.
    """

    masks: int
    there: int
    unreadable: tuple[str, ...]


def named_photos(sources: Sequence[str | os.PathLike], out: str | os.PathLike) -> dict[str, Path]:
    """Photos by the name of their masks.

    Args:
        sources: Photos, and folders with photos in them and below.
        out: Folder of the masks; files in it are not taken as photos.

    Returns:
        ``a/b`` for ``FOLDER/a/b.jpg``, the file name for a single photo; with suffix where two
        photos differ only in it (``image_ids``).

    Raises:
        FileNotFoundError: If a source is not there, or a folder holds no photo.
        ValueError: If two photos have the same mask file, or a folder of photos is ``out``.
    """
    found: dict[str, Path] = {}
    for source in map(Path, sources):
        if source.is_dir():
            photos = {name: source / name for name in find_photos(source)}
            masks = Path(os.path.relpath(out, source)).as_posix()
            if masks == '.':
                raise Refusal(f'{out} is the folder of the photos: choose another with --out')
            photos = {name: photos[name] for name in photos if not name.startswith(f'{masks}/')}
        elif source.is_file():
            photos = {source.name: source}
        else:
            raise Missing(f'there is no photo and no folder at {source}')
        for name, path in photos.items():
            other = found.setdefault(name, path)
            if other != path:
                raise Refusal(
                    f'the masks of {other} and {path} would be the same file: predict them into '
                    'different folders'
                )
    return {name: found[photo] for photo, name in image_ids(found).items()}


def predict_photos(
    model: Model,
    photos: dict[str, Path],
    out: str | os.PathLike,
    settings: dict[str, Any],
    overlays: bool = False,
) -> Predicted:
    """Write the mask of every photo, and continue where an earlier call stopped.

    Masks are 8-bit palette PNGs, ``<out>/<name>.png``, written atomically; ``classes.json`` beside
    them names the ids, and the record what they were made from. Photos that cannot be read are left
    out. Later calls may add photos.

    Args:
        model: The model.
        photos: See ``named_photos``.
        out: Folder of the masks.
        settings: JSON data that the masks depend on.
        overlays: Whether to write ``<out>/overlays/<name>.jpg`` too, the mask over the photo.

    Raises:
        Refusal: If the folder holds masks of other settings or of other photos of these names, or
            a mask was changed.
        OSError: If files cannot be written.
    """
    out = Path(out)
    check_num_classes(len(model.classes), 'the model')
    check_writable(out)
    with folder_lock(out):
        record = Record(out, 'choose another folder with --out')
        if MASKS not in record and any(out.rglob('*.png')):
            raise Refusal(
                f'{out} holds PNG files that were not predicted: choose a new or empty folder with '
                '--out'
            )
        state = record.begin(MASKS, settings, photos, grows=True)
        remove_leftovers(out, recursive=True)
        write_classes(out, model.classes, model.palette)
        missing = {name for name in photos if not mask_path(out, name).exists()}
        todo = {name: path for name, path in photos.items() if overlays or name in missing}
        unreadable: dict[str, str] = {}
        for name, path in progress(todo.items(), 'predicting', len(todo)):
            mask = mask_path(out, name)
            try:
                pixels = read_image(path)
            except (OSError, ValueError) as error:
                unreadable[name] = str(error)
                continue
            label = model.predict(pixels) if name in missing else read_mask(mask)
            if name in missing:
                write_mask(mask, label, model.palette)
            if overlays:
                write_overlay(overlay_path(out / OVERLAYS, name), pixels, label, model.palette)
        if state != 'complete':
            masks = (mask_path(out, name) for name in record[MASKS].inputs)
            record.finish(MASKS, [path for path in masks if path.is_file()], unused=unreadable)
    done = len(missing - unreadable.keys())
    return Predicted(done, len(photos) - len(missing), tuple(unreadable.values()))
