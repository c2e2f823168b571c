"""Reading and checking the lists of a data set: image ids, labels, files on disk."""

import difflib
import errno
import os
import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from .errors import Missing, Refusal
from .files import read_lines
from .images import PHOTO_SUFFIXES
from .names import check_image_id, is_image_id


def read_image_ids(path: str, backend_args: dict | None = None) -> list[str]:
    """Read a split list: one image id a line, blank lines ignored.

    Args:
        path: Text file.
        backend_args: Arguments of MMEngine's file backend.

    Returns:
        The ids in the order of the file. An id may contain spaces.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the list is empty, not a text, repeats an id, is one of VOC's lists of one
            class (``id -1``), or an id is a path out of the image folder.
    """
    try:
        img_ids = read_lines(path, 'split list', backend_args)
    except FileNotFoundError:
        raise Missing(f'split list (ann_file) {path} does not exist') from None
    if not img_ids:
        raise Refusal(f'split list (ann_file) {path} is empty')
    columns = [re.fullmatch(r'\S+\s+(-1|0|1)', img_id) for img_id in img_ids]
    if all(columns) and any(found and found[1] == '-1' for found in columns):
        raise Refusal(
            f'split list {path}: expected one image id a line, got {img_ids[0]!r}; this is a VOC '
            'list of one class. Take the list without columns, e.g. train.txt'
        )
    for img_id in img_ids:
        check_image_id(img_id, f'split list {path}')
    twice = [img_id for img_id, count in Counter(img_ids).items() if count > 1]
    if twice:
        raise Refusal(f'split list {path} lists {name_some(twice)} more than once')
    return img_ids


def missing_files(paths: Iterable[str]) -> list[str]:
    """Return those local paths that are not existing files; every folder is listed once."""
    folders: dict[str, set[str]] = {}
    missing = []
    for path in paths:
        folder, name = os.path.split(path)
        if folder not in folders:
            folders[folder] = _files_in(folder)
        if name not in folders[folder]:
            missing.append(path)
    return missing


def find_images(
    folder: str, img_ids: Sequence[str], suffixes: str | Sequence[str]
) -> tuple[list[str], list[str]]:
    """Find the file of each image id on the local disk.

    Args:
        folder: Folder of the images.
        img_ids: Image ids.
        suffixes: One suffix, or several: the first one that a file has is taken.

    Returns:
        A path for each id, and the paths that are not existing files.
    """
    from mmengine import fileio  # predictions run where it is not installed

    ends = suffix_list(suffixes)
    candidates = [[fileio.join_path(folder, i + end) for end in ends] for i in img_ids]
    absent = {*missing_files(path for group in candidates for path in group)}
    paths = [next((path for path in group if path not in absent), group[0]) for group in candidates]
    return paths, [path for path in paths if path in absent]


def suffix_list(suffixes: str | Sequence[str]) -> tuple[str, ...]:
    """One suffix or several as a tuple."""
    return (suffixes,) if isinstance(suffixes, str) else tuple(suffixes)


def files_below(folder: str | os.PathLike, suffix: str | Sequence[str]) -> list[str]:
    """Paths, relative to a folder and sorted, of the files in it and below that end in a suffix.

    Hidden files and folders (``._photo.jpg``, ``.ipynb_checkpoints``) are left out. Links to
    folders are followed, each folder once.

    Raises:
        OSError: If a folder cannot be read.
    """
    root, ends = Path(folder), suffix_list(suffix)
    found, seen, waiting = [], set(), ['']
    while waiting:
        below = waiting.pop()
        status, entries = os.stat(root / below), list(os.scandir(root / below))
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in entries:
            if entry.name.startswith('.'):
                continue
            if _is(entry, os.DirEntry.is_dir):
                waiting.append(f'{below}{entry.name}/')
            elif entry.name.endswith(ends):
                found.append(below + entry.name)
    return sorted(found)


def find_photos(root: Path) -> list[str]:
    """Paths, below a folder and with slashes, of all photos in it, sorted.

    Suffixes of any case count. Hidden files and folders (``._x.jpg``, ``.ipynb_checkpoints``) do
    not. Photos whose name cannot be the name of a mask are left out with a warning.

    Raises:
        FileNotFoundError: If the folder is not there or holds no photo.
    """
    if not root.is_dir():
        raise Missing(f'there is no folder of photos at {root}')
    files = files_below(root, '')
    found = [name for name in files if os.path.splitext(name)[1].lower() in PHOTO_SUFFIXES]
    if not found:
        raise Missing(
            f'{root} holds no photo: none of its files ends in one of '
            f'{", ".join(end for end in PHOTO_SUFFIXES if end.islower())}'
        )
    good = [name for name in found if is_image_id(name)]
    if len(good) < len(found):
        odd = [ascii(name) for name in found if not is_image_id(name)]
        warnings.warn(
            f'{len(odd)} photos in {root} are left out, because their names hold a backslash or '
            f'control characters, are not UTF-8 or too long: {name_some(odd)}; rename them',
            stacklevel=2,
        )
    return good


def image_ids(photos: Iterable[str]) -> dict[str, str]:
    """Image id by photo: the path without suffix, or with it where two photos differ only in it.

    Masks are called ``<id>.png``, so no two photos may have the same id.
    """
    photos = set(photos)
    stems = Counter(str(PurePosixPath(photo).with_suffix('')) for photo in photos)
    ids = {}
    for photo in sorted(photos):
        stem = str(PurePosixPath(photo).with_suffix(''))
        ids[photo] = stem if stems[stem] == 1 and stem not in photos else photo
    return ids


def ids_below(
    folder: str | os.PathLike, suffixes: str | Sequence[str], others: Sequence[str] = ()
) -> tuple[list[str], list[str]]:
    """Image ids of the files in a folder and below it, and files that may be images too.

    The latter have one of the suffixes ``others`` and no image's name.
    """
    ends = suffix_list(suffixes)
    names = files_below(folder, ends)
    ids = dict.fromkeys(
        next(name.removesuffix(end) for end in ends if name.endswith(end)) for name in names
    )
    rest = {*files_below(folder, others)} - {*names}
    return list(ids), sorted(name for name in rest if os.path.splitext(name)[0] not in ids)


def name_missing(paths: Sequence[str]) -> str:
    """Name the first few missing files, each with an existing file of similar name."""
    return name_some([*(path + _instead(path) for path in paths[:3]), *paths[3:]])


def name_absent(img_ids: Sequence[str], known: Iterable[str]) -> str:
    """Name the first few unknown ids, each with a similar known one."""
    alike: dict[str, str] = {}
    for there in known:
        alike.setdefault(folded(os.path.splitext(there)[0]), there)
        alike[folded(there)] = there
    return name_some([i + _there(alike.get(folded(i)), i) for i in img_ids[:3]] + [*img_ids[3:]])


def explain_unknown(label: Any, classes: Sequence[str]) -> str:
    """Explain an unknown class name; suggest the nearest class."""
    if str(label).lower() == 'background':
        return 'background is no image-level label; remove it'
    lower = {name.lower(): name for name in classes}
    close = difflib.get_close_matches(str(label).lower(), lower, n=1)
    hint = (
        f'did you mean {lower[close[0]]!r}?' if close else f'the classes are {", ".join(classes)}'
    )
    return f'unknown class {label!r}; {hint}'


def name_some(items: Sequence[str], limit: int = 3) -> str:
    """Name the first few items and how many there are."""
    shown = ', '.join(items[:limit])
    return shown if len(items) <= limit else f'{shown}, ... ({len(items)} in all)'


def _instead(path: str) -> str:
    """An existing file with a name similar to that of a missing one, as a text."""
    folder, name = os.path.split(path)
    if not os.path.isdir(folder or '.'):
        return ' (the folder does not exist)'
    stem = os.path.splitext(name)[0]
    similar = (
        there
        for there in sorted(_files_in(folder))
        if there == stem
        or there.replace('.', '') == name
        or folded(os.path.splitext(there)[0]) == folded(stem)
    )
    return _there(next(similar, None), name)


def _there(there: str | None, wanted: str) -> str:
    if there is None:
        return ''
    form = unicodedata.normalize
    unseen = there != wanted and form('NFC', there) == form('NFC', wanted)
    return f' (there is {there}{", with differently coded accents" if unseen else ""})'


def folded(name: str) -> str:
    """A name without differences of case and of the two Unicode forms of accents."""
    return unicodedata.normalize('NFC', name).casefold()


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
    except OSError:  # a link to itself
        return False
