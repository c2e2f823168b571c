"""Label maps of a folder of photos on disk; runs where PyTorch is not installed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..utils.errors import Missing, Refusal
from ..utils.files import read_json
from ..utils.images import read_image
from ..utils.io import check_writable, remove_leftovers, write_json
from ..utils.label_png import check_num_classes, mask_path, write_classes, write_mask
from ..utils.lists import find_photos, image_ids
from ..utils.locks import folder_lock
from ..utils.progress import progress
from .overlays import overlay_path, write_overlay

MANIFEST = 'predictions.json'
"""File with the settings that the masks of a folder were predicted with."""
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
    them names the ids. Photos that cannot be read are left out.

    Args:
        model: The model.
        photos: See ``named_photos``.
        out: Folder of the masks.
        settings: JSON data that the masks depend on; a folder with other settings is refused.
        overlays: Whether to write ``<out>/overlays/<name>.jpg`` too, the mask over the photo.

    Raises:
        ValueError: If the folder holds masks of other settings.
        OSError: If files cannot be written.
    """
    out = Path(out)
    check_num_classes(len(model.classes), 'the model')
    check_writable(out)
    with folder_lock(out):
        _open(out, settings)
        write_classes(out, model.classes, model.palette)
        missing = {
            name: path
            for name, path in photos.items()
            if not mask_path(out, name).exists()
            or (overlays and not overlay_path(out / OVERLAYS, name).exists())
        }
        unreadable = []
        for name, path in progress(missing.items(), 'predicting', len(missing)):
            try:
                pixels = read_image(path)
            except (OSError, ValueError) as error:
                unreadable.append(str(error))
                continue
            label = model.predict(pixels)
            if overlays:
                write_overlay(overlay_path(out / OVERLAYS, name), pixels, label, model.palette)
            write_mask(mask_path(out, name), label, model.palette)
    done = len(missing) - len(unreadable)
    return Predicted(done, len(photos) - len(missing), tuple(unreadable))


def _open(out: Path, settings: dict[str, Any]) -> None:
    """Record the settings in a folder, or refuse one that has others."""
    file = out / MANIFEST
    if file.is_file():
        found = read_json(file)
        if found != settings:
            raise Refusal(
                f'{out} holds masks of another model or --max-side ({found} there, {settings} '
                'now): choose another folder with --out, or delete it'
            )
        remove_leftovers(out, recursive=True)
        return
    if any(out.rglob('*.png')):
        raise Refusal(
            f'{out} holds PNG files but no {MANIFEST}: choose a new or empty folder with --out'
        )
    write_json(file, settings)
