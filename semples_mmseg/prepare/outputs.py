"""Writing split lists and label files; other content is replaced only on request."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..utils import atomic_write
from ..utils.errors import AlreadyThere
from ..utils.lists import name_some, read_image_ids, read_label_file


def list_is_current(path: Path, img_ids: Iterable[str], overwrite: bool = False) -> bool:
    """Whether a split list holds the given ids, in any order.

    Raises:
        FileExistsError: If it holds others and may not be overwritten.
        ValueError: If it is not a split list and may not be overwritten.
    """
    if overwrite or not path.exists():
        return False
    there, wanted = set(read_image_ids(str(path))), set(img_ids)
    if there != wanted:
        odd = sorted(there ^ wanted)
        raise AlreadyThere(
            f'{path} holds other ids: {len(there)} there, {len(wanted)} now, differing in '
            f'{name_some(odd)}. Move it away, or overwrite it (--overwrite)'
        )
    return True


def write_list(path: Path, img_ids: Sequence[str], overwrite: bool = False) -> bool:
    """Write a split list unless it exists with the same ids; see ``list_is_current``.

    Returns:
        Whether the file was written.
    """
    if list_is_current(path, img_ids, overwrite):
        return False
    with atomic_write(path) as file:
        file.writelines(f'{img_id}\n' for img_id in img_ids)
    return True


def labels_are_current(
    path: Path, labels: Mapping[str, Sequence[str]], overwrite: bool = False
) -> bool:
    """Whether a label file holds the given labels.

    Raises:
        FileExistsError: If it holds others and may not be overwritten.
        ValueError: If it is not a label file and may not be overwritten.
    """
    if overwrite or not path.exists():
        return False
    there = read_label_file(str(path))
    odd = sorted(i for i in {*there, *labels} if there.get(i) != labels.get(i))
    if odd:
        raise AlreadyThere(
            f'{path} holds other labels, differing in {name_some(odd)}. Move it away, choose '
            'another name, or overwrite it (--overwrite)'
        )
    return True


def write_label_file(
    path: Path, labels: Mapping[str, Sequence[str]], overwrite: bool = False
) -> bool:
    """Write ``{"image id": ["class", ...]}``, one image a line, unless the file is the same.

    Args:
        path: The JSON file.
        labels: Class names by image id.
        overwrite: Whether other labels there may be replaced.

    Returns:
        Whether the file was written.

    Raises:
        FileExistsError: If the file holds other labels; see ``labels_are_current``.
    """
    if labels_are_current(path, labels, overwrite):
        return False
    lines = [f'{json.dumps(i)}: {json.dumps(list(labels[i]))}' for i in sorted(labels)]
    with atomic_write(path) as file:
        file.write('{\n' + ',\n'.join(lines) + '\n}\n')
    return True
