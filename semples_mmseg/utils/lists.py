"""Reading and checking the lists behind a data set: image ids, labels, files on disk."""

import difflib
import errno
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from .files import read_json, read_lines
from .names import check_image_id


def read_image_ids(path: str, backend_args: dict | None = None) -> list[str]:
    """Read a split list: one image id a line, blank lines ignored.

    Args:
        path: Text file.
        backend_args: Of the file backend, as everywhere in mmengine.

    Returns:
        The ids in the order of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the list is empty, no text, repeats an id, has several columns, or an id
            points out of the image folder.
    """
    try:
        img_ids = read_lines(path, 'split list', backend_args)
    except FileNotFoundError:
        raise FileNotFoundError(f'split list (ann_file) {path} does not exist') from None
    if not img_ids:
        raise ValueError(f'split list (ann_file) {path} is empty')
    for img_id in img_ids:
        if len(img_id.split()) > 1:
            raise ValueError(
                f'split list {path}: expected one image id a line, got {img_id[:80]!r}'
            )
        check_image_id(img_id, f'split list {path}')
    twice = [img_id for img_id, count in Counter(img_ids).items() if count > 1]
    if twice:
        raise ValueError(f'split list {path} lists {name_some(twice)} more than once')
    return img_ids


def read_label_file(path: str, backend_args: dict | None = None) -> dict[str, Any]:
    """Read a JSON object ``{"image id": ["class name", ...]}``; the lists are not checked here.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not JSON, not an object, has an id twice or one that is no path inside
            a folder.
    """
    try:
        labels = read_json(path, 'label_file', backend_args=backend_args)
    except FileNotFoundError:
        raise FileNotFoundError(f'label_file {path} does not exist') from None
    if not isinstance(labels, dict):
        raise ValueError(
            f'label_file {path} holds a JSON {type(labels).__name__}; expected an object '
            '{"image id": ["class name", ...]}'
        )
    for img_id in labels:
        check_image_id(img_id, f'label_file {path}')
    return labels


def missing_files(paths: Iterable[str]) -> list[str]:
    """Return those local files that do not exist; every folder is listed once.

    A folder, a pipe, or a link that leads nowhere or round in circles is no file.
    """
    listings: dict[str, set[str]] = {}
    missing = []
    for path in paths:
        folder, name = os.path.split(path)
        if folder not in listings:
            listings[folder] = _files_in(folder)
        if name not in listings[folder]:
            missing.append(path)
    return missing


def files_below(folder: str | os.PathLike, suffix: str) -> list[str]:
    """Paths, relative to a folder and sorted, of all files in it and below that end in a suffix.

    Linked folders are looked into, each real folder once: links in circles come to an end.
    """
    root, found, seen, waiting = Path(folder), [], set(), ['']
    while waiting:
        below = waiting.pop()
        try:
            status, entries = os.stat(root / below), list(os.scandir(root / below))
        except OSError:  # a folder that may not be read
            continue
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in entries:
            if _is(entry, os.DirEntry.is_dir):
                waiting.append(f'{below}{entry.name}/')
            elif entry.name.endswith(suffix):
                found.append(below + entry.name)
    return sorted(found)


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


def _files_in(folder: str) -> set[str]:
    try:
        with os.scandir(folder or '.') as entries:
            return {entry.name for entry in entries if _is(entry, os.DirEntry.is_file)}
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return set()
        raise


def _is(entry: os.DirEntry, kind: Callable[[os.DirEntry], bool]) -> bool:
    try:
        return kind(entry)
    except OSError:  # a link that leads round in circles
        return False
