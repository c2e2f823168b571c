"""Label maps as 8-bit palette PNG files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from .errors import Missing, Refusal
from .files import read_bytes, read_json
from .images import open_image
from .io import atomic_write, write_json
from .names import check_image_id, is_one_line

IGNORED = 255
"""The id of pixels without a class: ignored in ground truth, undecided in a prediction."""

if TYPE_CHECKING:  # predictions run where it is not installed
    import torch


def full_palette(colours: Sequence[Sequence[int]] = ()) -> list[int]:
    """Colours of all 256 ids in PNG's form, 768 numbers: those given, then PASCAL VOC's."""
    ids = np.arange(256)
    table = np.zeros((256, 3), np.int64)
    for bit in range(8):  # VOC: bits 0, 1, 2 of an id are the highest bits of R, G, B, and so on
        for channel in range(3):
            table[:, channel] |= ((ids >> (3 * bit + channel)) & 1) << (7 - bit)
    if len(colours):
        table[: len(colours)] = np.asarray(colours)
    return table.ravel().tolist()


def class_colours(count: int, palette: Sequence[Sequence[int]] = ()) -> list[list[int]]:
    """RGB of the ids 0..count - 1: a palette, then VOC's colours, whose background is black."""
    return np.reshape(full_palette(palette), (256, 3))[:count].tolist()


def write_classes(
    folder: str | os.PathLike, classes: Sequence[str], palette: Sequence[Sequence[int]] = ()
) -> None:
    """Write ``classes.json``: id, name and colour of a folder's masks, the background first."""
    colours = class_colours(len(classes), palette)
    entries = [dict(id=k, name=name, colour=colours[k]) for k, name in enumerate(classes)]
    write_json(Path(folder) / 'classes.json', entries, ensure_ascii=False)


def read_class_colours(folder: str | os.PathLike) -> tuple[list[str], list[list[int]]]:
    """Read what ``write_classes`` wrote: names, background first, and their colours."""
    file = Path(folder) / 'classes.json'
    if not file.is_file():
        raise Missing(f'{file} does not exist: give the names of the classes with --classes')
    try:
        entries = read_json(file)
        found = [(str(entry['name']), [int(c) for c in entry['colour']]) for entry in entries]
        ids = [entry['id'] for entry in entries]
    except (TypeError, KeyError, ValueError) as error:
        raise Refusal(f'{file} is damaged ({error!r}): restore it, or give --classes') from None
    if not ids or ids != list(range(len(ids))) or any(len(colour) != 3 for _, colour in found):
        raise Refusal(f'{file} is damaged: ids count from 0, a colour has three numbers')
    return [name for name, _ in found], [colour for _, colour in found]


def write_mask(
    path: str | os.PathLike, label: np.ndarray, palette: Sequence[Sequence[int]] = ()
) -> None:
    """Write a label map as an 8-bit palette PNG, atomically.

    Refused are other arrays than ids 0..255, (H, W). For ``palette`` see ``full_palette``.
    """
    if label.ndim != 2 or label.min(initial=0) < 0 or label.max(initial=0) > 255:
        raise Refusal(
            f'A mask is an array (H, W) of ids 0..255; for {path} got shape {label.shape} with '
            f'values {label.min(initial=0)}..{label.max(initial=0)}.'
        )
    image = Image.fromarray(label.astype(np.uint8))
    image.putpalette(full_palette(palette))
    with atomic_write(path, 'wb') as file:
        image.save(file, format='PNG')


def read_mask(path: str | os.PathLike) -> np.ndarray:
    """Read the ids of a palette or grey PNG, uint8 ``(H, W)``; other kinds are refused."""
    return decode_mask(read_bytes(path, 'mask'), path)


def decode_mask(content: bytes, path: str | os.PathLike) -> np.ndarray:
    """``read_mask`` of a file that is in memory."""
    with open_image(content, path, 'mask', ('PNG',)) as image:
        # Pillow scales greys of less than 8 bits so that the highest becomes white.
        depth = content[24]
        if image.mode != 'P' and (image.mode != 'L' or depth != 8):
            raise Refusal(
                f'mask {path} is an image of mode {image.mode}; expected 8-bit palette or grey: '
                f'one class id per pixel, not a colour per pixel (it has {depth} bits a channel)'
            )
        try:
            return np.array(image)
        except Exception as error:  # damage raises errors of many types
            raise Refusal(
                f'mask {path} cannot be read ({error}); delete it and make it again'
            ) from error


def check_num_classes(number: int, where: str) -> None:
    """Refuse more than 255 classes, background included; the id 255 is "ignored"."""
    if number > 255:
        raise Refusal(
            f'{where}: {number} classes, background included; masks of 8 bits hold at most 255 '
            '(254 object classes). Leave some out, or train several models'
        )


def check_classes(classes: Any, palette: Any, where: str) -> None:
    """Refuse JSON data of a model that are no lists of names and of their RGB colours."""
    named = isinstance(classes, list) and all(
        isinstance(name, str) and name and is_one_line(name) for name in classes
    )
    if not named or len(classes) < 2:
        raise Refusal(f'{where}: classes has to be a list of names, the background first')
    check_num_classes(len(classes), where)
    right = [
        isinstance(rgb, list) and [type(c) for c in rgb] == [int] * 3 and set(rgb) <= {*range(256)}
        for rgb in (palette if isinstance(palette, list) else ())
    ]
    if not all(right) or len(right) != len(classes):
        raise Refusal(f'{where}: palette has to be three numbers 0..255 for each of the classes')


def check_ids(
    label: np.ndarray | torch.Tensor,
    num_classes: int,
    path: str | os.PathLike,
    ignore_index: int = IGNORED,
) -> None:
    """Refuse a mask with an id that is no class (background counts); ``path`` names it."""
    wrong = label[((label < 0) | (label >= num_classes)) & (label != ignore_index)]
    if len(wrong):
        raise Refusal(
            f'{path}: the mask holds the id {int(wrong[0])}; the {num_classes} classes are '
            f'0..{num_classes - 1}, ignored is {ignore_index}. Check the file and the classes'
        )


def mask_path(folder: str | os.PathLike, img_id: str) -> Path:
    """Path of the mask of an image: ``<folder>/<image id>.png``; an id that leaves is refused."""
    return Path(folder) / f'{check_image_id(img_id, f"masks in {folder}")}.png'
