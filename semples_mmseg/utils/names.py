"""Checks of image ids, which become paths, and of class names."""

import unicodedata
from collections.abc import Sequence
from typing import Any

from .errors import Refusal

MAX_PART_BYTES = 200
"""Longest part of an image id between two slashes. File systems allow 255 bytes, and suffixes and
the names of temporary files are longer."""

MAX_CLASS_NAME = 200
"""Longest class name in characters; CLIP reads 77 tokens."""


def check_image_id(img_id: Any, where: str) -> str:
    """Check that an image id, appended to a folder, is a path inside it on any system.

    Subfolders (``train2014/COCO_train2014_000000000009``), spaces, quotes, a leading ``-`` and all
    alphabets are allowed.

    Args:
        img_id: The id: a relative path with slashes, without suffix.
        where: Where it comes from, for the error message.

    Returns:
        The id.

    Raises:
        ValueError: If it is empty or not a text, leaves the folder (``..``, an absolute path, a
            drive), or holds a backslash, a control character or a part that is too long.
    """
    if not isinstance(img_id, str):
        raise Refusal(f'{where}: an image id is a text, got {type(img_id).__name__}')
    parts = img_id.split('/')
    if '\\' in img_id or ':' in parts[0] or {'', '.', '..'} & {*parts}:
        raise Refusal(
            f'{where}: image id {_shown(img_id)} leaves the image folder; ids are paths inside it, '
            'with slashes and without suffix'
        )
    if not _is_one_line(img_id):
        raise Refusal(f'{where}: image id {_shown(img_id)} holds a control character')
    if max(len(part.encode()) for part in parts) > MAX_PART_BYTES or len(parts) > 32:
        raise Refusal(f'{where}: image id {_shown(img_id)} is too long')
    return img_id


def is_image_id(text: str) -> bool:
    """Whether a text passes ``check_image_id``."""
    try:
        check_image_id(text, '')
    except Refusal:
        return False
    return True


def check_class_names(names: Sequence[Any], where: str) -> None:
    """Check that class names are distinct texts of one line.

    Quotes, slashes and all alphabets are allowed: no file is named after a class.

    Raises:
        ValueError: If one is empty, not a text, repeated, too long, or holds a control character.
    """
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise Refusal(f'{where}: a class needs a name, got {name!r}')
        if len(name) > MAX_CLASS_NAME or not _is_one_line(name):
            raise Refusal(
                f'{where}: {_shown(name)} is no class name: expected one line of at most '
                f'{MAX_CLASS_NAME} characters'
            )
    if len(set(names)) < len(names):
        twice = next(name for index, name in enumerate(names) if name in names[:index])
        raise Refusal(f'{where} names a class twice: {twice!r}')


def _is_one_line(text: str) -> bool:
    """Whether a text has no control characters, line breaks or unpaired surrogates."""
    return not any(unicodedata.category(c) in ('Cc', 'Cs', 'Zl', 'Zp') for c in text)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else f'{text[:80]}...')
