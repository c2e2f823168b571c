"""Masks over their photos; runs where PyTorch is not installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ..utils.images import read_image
from ..utils.io import atomic_write
from ..utils.label_png import mask_path, read_mask
from ..utils.sizes import limited_size, resize_bicubic

_OPACITY = 0.55


def overlay_mask(
    photo: np.ndarray, label: np.ndarray, palette: Sequence[Sequence[int]]
) -> np.ndarray:
    """Colours of ids, uint8 ``(H, W)``, but for 0, over their photo: uint8 RGB ``(H, W, 3)``."""
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(palette)] = palette
    mixed = np.rint((1 - _OPACITY) * photo + _OPACITY * colours[label]).astype(np.uint8)
    return np.where((label > 0)[..., None], mixed, photo)


def write_overlay(
    folder: Path,
    name: str,
    photo: np.ndarray,
    label: np.ndarray,
    palette: Sequence[Sequence[int]],
) -> None:
    """Write ``overlay_mask`` as ``<folder>/<name>.jpg`` (longer side at most 1600 pixels)."""
    height, width = limited_size(label.shape, 1600)  # type: ignore[arg-type]
    small = np.asarray(Image.fromarray(label).resize((width, height), Image.Resampling.NEAREST))
    painted = overlay_mask(resize_bicubic(photo, (height, width)), small, palette)
    with atomic_write(mask_path(folder, name).with_suffix('.jpg'), 'wb') as file:
        Image.fromarray(painted).save(file, 'JPEG', quality=90)


def overlay_files(job: tuple[Path, str, Path, Path, Sequence[Sequence[int]]]) -> None:
    """``write_overlay`` of files: folder and name, photo, mask, and palette."""
    folder, name, photo, mask, palette = job
    write_overlay(folder, name, read_image(photo), read_mask(mask), palette)
