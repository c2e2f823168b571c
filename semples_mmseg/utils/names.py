"""Checks of image ids, which become paths, and of class names."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from .errors import Refusal

MAX_PART_BYTES = 200
"""Longest part of an image id between two slashes. File systems allow 255 bytes, and suffixes and
the names of temporary files are longer."""
MAX_CLASS_NAME = 200
"""Longest class name in characters; CLIP reads 77 tokens."""
# Zero-width and no-break spaces, soft hyphens, marks of direction and byte order.
_SPACES = re.compile('[\u00a0\u2007\u202f]')
_NOTHING = re.compile('[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]')


def check_image_id(img_id: Any, where: str) -> str:
    """Check that an image id, appended to a folder, is a path inside it on any system.

    Sub-folders, spaces, quotes, a leading ``-`` and all alphabets are allowed. ``where`` says in
    the message where the id comes from.
    """
    if not isinstance(img_id, str):
        raise Refusal(f'{where}: an image id is a text, got {type(img_id).__name__}')
    parts = img_id.split('/')
    problem = ''
    if '\\' in img_id or ':' in parts[0] or {'', '.', '..'} & {*parts}:
        problem = (
            'leaves the image folder; ids are paths inside it, with slashes and without suffix'
        )
    elif not is_one_line(img_id):
        problem = 'holds a control character'
    elif max(len(part.encode()) for part in parts) > MAX_PART_BYTES or len(parts) > 32:
        problem = 'is too long'
    if problem:
        raise Refusal(f'{where}: image id {_shown(img_id)} {problem}')
    return img_id


def is_image_id(text: str) -> bool:
    """Whether a text passes ``check_image_id``."""
    try:
        return check_image_id(text, '') == text
    except Refusal:
        return False


def check_class_names(names: Sequence[Any], where: str) -> None:
    """Refuse class names that are not distinct texts of one line, of any alphabet."""
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise Refusal(f'{where}: a class needs a name, got {name!r}')
        # MMEngine fills {{...}} in wherever it stands in the text of a config.
        if len(name) > MAX_CLASS_NAME or not is_one_line(name) or '{{' in name:
            raise Refusal(
                f'{where}: {_shown(name)} is no class name: expected one line of at most '
                f'{MAX_CLASS_NAME} characters without {{{{'
            )
    if len(set(names)) < len(names):
        twice = next(name for index, name in enumerate(names) if name in names[:index])
        raise Refusal(f'{where} names a class twice: {twice!r}')


def without_invisible(text: str) -> str:
    """A text without characters that are not seen; no-break spaces are plain ones."""
    return _NOTHING.sub('', _SPACES.sub(' ', text))


def is_one_line(text: str) -> bool:
    """Whether a text has no control characters, line breaks or unpaired surrogates."""
    return not any(unicodedata.category(c) in ('Cc', 'Cs', 'Zl', 'Zp') for c in text)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else f'{text[:80]}...')


def count(number: int, noun: str) -> str:
    """``'1 photo'``, ``'2 photos'``."""
    return f'{number} {noun}{"" if number == 1 else "s"}'
