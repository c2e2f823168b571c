"""Lists of a data set: image ids, labels, files on disk, and hints of what was meant."""

import difflib
import os
import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from .errors import Missing, Refusal
from .files import read_lines
from .images import PHOTO_SUFFIXES
from .names import check_image_id, count, is_image_id


def read_image_ids(path: str) -> list[str]:
    """Read a split list: one image id a line; blank lines are ignored.

    Refused are empty lists, repeated ids, VOC's lists of one class (``id -1``), and ids that are
    paths out of the image folder.
    """
    try:
        img_ids = read_lines(path, 'split list')
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
    """Those local paths that are not existing files."""
    return [path for path in paths if not os.path.isfile(path)]


def find_images(
    folder: str, img_ids: Sequence[str], suffixes: str | Sequence[str]
) -> tuple[list[str], list[str]]:
    """A path for each image id, by the first suffix that a file has, and those not there."""
    paths, missing = [], []
    for img_id in img_ids:
        wanted = [os.path.join(folder, img_id + end) for end in suffix_list(suffixes)]
        there = [path for path in wanted if os.path.isfile(path)]
        paths.append((there or wanted)[0])
        missing += [] if there else wanted[:1]
    return paths, missing


def suffix_list(suffixes: str | Sequence[str]) -> tuple[str, ...]:
    """One suffix or several as a tuple."""
    return (suffixes,) if isinstance(suffixes, str) else tuple(suffixes)


def files_below(folder: str | os.PathLike, suffix: str | Sequence[str]) -> list[str]:
    """Paths, relative to a folder and sorted, of the files in it and below that end in a suffix.

    Hidden files and folders (``._photo.jpg``, ``.ipynb_checkpoints``) are left out. Links to
    folders are followed, each folder once. A folder that cannot be read is an error.
    """

    def fail(error: OSError) -> None:
        raise error

    found, seen = [], set()
    root = os.fspath(folder) or '.'
    for place, folders, names in os.walk(root, onerror=fail, followlinks=True):
        status = os.stat(place)
        folders[:] = [name for name in folders if not name.startswith('.')]
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        shown = [name for name in names if not name.startswith('.')]
        below = Path(place).relative_to(root)
        found += [(below / name).as_posix() for name in shown if name.endswith(suffix_list(suffix))]
    return sorted(found)


def find_photos(root: Path) -> list[str]:
    """Paths, below a folder and with slashes, of all photos in it, sorted; see ``files_below``.

    Photos whose name cannot be the name of a mask are left out with a warning; no photo is an
    error.
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
    odd = [name for name in found if not is_image_id(name)]
    if odd:
        warnings.warn(
            f'left out in {root}: {count(len(odd), "photo")} with a name that holds a backslash or '
            'control characters, is not UTF-8 or too long: '
            f'{name_some([ascii(name) for name in odd])}; rename them',
            stacklevel=2,
        )
    return [name for name in found if name not in odd]


def image_ids(photos: Iterable[str]) -> dict[str, str]:
    """Image id by photo: the path without suffix, or with it where two photos differ only in it."""
    photos = set(photos)
    stems = {photo: str(PurePosixPath(photo).with_suffix('')) for photo in sorted(photos)}
    count = Counter(stems.values())
    return {
        photo: stem if count[stem] == 1 and stem not in photos else photo
        for photo, stem in stems.items()
    }


def ids_below(
    folder: str | os.PathLike, suffixes: str | Sequence[str]
) -> tuple[list[str], list[str]]:
    """Image ids of the files in a folder and below it, and photos with another suffix."""
    ends = suffix_list(suffixes)
    names = files_below(folder, ends)
    ids = dict.fromkeys(
        next(name.removesuffix(end) for end in ends if name.endswith(end)) for name in names
    )
    rest = {*files_below(folder, PHOTO_SUFFIXES)} - {*names}
    return list(ids), sorted(name for name in rest if os.path.splitext(name)[0] not in ids)


def name_missing(paths: Sequence[str]) -> str:
    """Name the first few missing files, each with an existing file of similar name."""
    named = []
    for path in paths[:3]:
        folder, name = os.path.split(path)
        if os.path.isdir(folder or '.'):
            named.append(path + _similar(name, os.listdir(folder or '.')))
        else:
            named.append(f'{path} (the folder does not exist)')
    return name_some([*named, *paths[3:]])


def name_absent(img_ids: Sequence[str], known: Iterable[str]) -> str:
    """Name the first few unknown ids, each with a similar known one."""
    return name_some([*(i + _similar(i, known) for i in img_ids[:3]), *img_ids[3:]])


def _similar(wanted: str, names: Iterable[str]) -> str:
    """A name that differs in case, suffix or the coding of accents from a wanted one, as a text."""
    keys = {folded(wanted), folded(os.path.splitext(wanted)[0])}
    for there in sorted(names):
        if keys & {folded(n) for n in (there, os.path.splitext(there)[0], there.replace('.', ''))}:
            nfc = (unicodedata.normalize('NFC', name) for name in (there, wanted))
            coding = ', with differently coded accents' if len({*nfc}) == 1 else ''
            return f' (there is {there}{coding})'
    return ''


def folded(name: str) -> str:
    """A name without differences of case and of the two Unicode forms of accents."""
    return unicodedata.normalize('NFC', name).casefold()


def explain_unknown(label: Any, classes: Sequence[str]) -> str:
    """Explain an unknown class name; suggest the nearest class."""
    if str(label).lower() == 'background':
        return 'background is no image-level label; remove it'
    lower = {name.lower(): name for name in classes}
    close = difflib.get_close_matches(str(label).lower(), lower, n=1)
    hint = (
        f'did you mean {lower[close[0]]!r}?' if close else f'the classes are {", ".join(classes)}'
    )
    return f'unknown class {repr(label)[:100]}; {hint}'


def name_some(items: Sequence[str], limit: int = 3) -> str:
    """Name the first few items and how many there are."""
    shown = ', '.join(items[:limit])
    return shown if len(items) <= limit else f'{shown}, ... ({len(items)} in all)'
