"""Reading and checking the lists behind a data set: image ids, labels, files on disk."""

import difflib
import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from mmengine import fileio


def read_image_ids(path: str, backend_args: dict | None = None) -> list[str]:
    """Read a split list: one image id a line, blank lines ignored.

    Args:
        path: Text file.
        backend_args: Of the file backend, as everywhere in mmengine.

    Returns:
        The ids in the order of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the list is empty, repeats an id, has several columns, or an id points out
            of the image folder.
    """
    try:
        text = fileio.get_text(path, backend_args=backend_args)
    except FileNotFoundError:
        raise FileNotFoundError(f'split list (ann_file) {path} does not exist') from None
    img_ids = [line.strip() for line in text.splitlines() if line.strip()]
    if not img_ids:
        raise ValueError(f'split list (ann_file) {path} is empty')
    for img_id in img_ids:
        if len(img_id.split()) > 1:
            raise ValueError(f'split list {path}: expected one image id a line, got {img_id!r}')
        parts = img_id.replace('\\', '/').split('/')
        if '..' in parts or '' in parts or ':' in parts[0]:
            raise ValueError(
                f'split list {path}: image id {img_id!r} leaves the image folder; ids are paths '
                'inside it, without suffix'
            )
    twice = [img_id for img_id, count in Counter(img_ids).items() if count > 1]
    if twice:
        raise ValueError(f'split list {path} lists {name_some(twice)} more than once')
    return img_ids


def read_label_file(path: str, backend_args: dict | None = None) -> dict[str, Any]:
    """Read a JSON object ``{"image id": ["class name", ...]}``; the lists are not checked here.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not JSON, or not an object.
    """
    try:
        labels = json.loads(fileio.get_text(path, backend_args=backend_args))
    except FileNotFoundError:
        raise FileNotFoundError(f'label_file {path} does not exist') from None
    except ValueError as error:
        raise ValueError(f'label_file {path} is not a JSON text file: {error}') from None
    if not isinstance(labels, dict):
        raise ValueError(
            f'label_file {path} holds a JSON {type(labels).__name__}; expected an object '
            '{"image id": ["class name", ...]}'
        )
    return labels


def missing_files(paths: Iterable[str]) -> list[str]:
    """Return those local files that do not exist; every folder is listed once."""
    listings: dict[str, set[str]] = {}
    missing = []
    for path in paths:
        folder, name = os.path.split(path)
        if folder not in listings:
            listings[folder] = _names_in(folder)
        if name not in listings[folder]:
            missing.append(path)
    return missing


def explain_unknown(label: Any, classes: Sequence[str]) -> str:
    """Say which class a wrong name may have meant."""
    if str(label).lower() == 'background':
        return 'background is no image-level label; remove it'
    close = difflib.get_close_matches(str(label), classes, n=1)
    hint = f'did you mean {close[0]!r}?' if close else f'the classes are {", ".join(classes)}'
    return f'unknown class {label!r}; {hint}'


def name_some(items: Sequence[str], limit: int = 3) -> str:
    """Name the first few items and how many there are."""
    shown = ', '.join(items[:limit])
    return shown if len(items) <= limit else f'{shown}, ... ({len(items)} in all)'


def _names_in(folder: str) -> set[str]:
    try:
        with os.scandir(folder or '.') as entries:
            return {entry.name for entry in entries}
    except (FileNotFoundError, NotADirectoryError):
        return set()
