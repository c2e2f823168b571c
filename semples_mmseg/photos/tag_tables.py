"""Tables of photos and tags: which column names the photos, and which cells hold tags.

A table is a list of rows of cells, from CSV, TSV, xlsx or JSON objects. The photos stand in the
column whose cells name them; the tags in columns called tag, label, class ... (tag1, tag2), in the
only other column, or in a column of 0 and 1 for every class. Other columns are not used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ..utils.errors import Refusal
from ..utils.images import PHOTO_SUFFIXES
from ..utils.lists import name_some
from ..utils.photo_names import PhotoNames

_IMAGE = {
    'image', 'images', 'img', 'photo', 'photos', 'picture', 'file', 'filename', 'file_name', 'path',
    'filepath', 'image_id', 'id', 'name',
}  # fmt: skip
_TAG = {
    'tag', 'tags', 'label', 'labels', 'class', 'classes', 'category', 'categories', 'keyword',
    'keywords', 'choice', 'choices',
}  # fmt: skip
_INDEX = {'', 'index', 'level', 'unnamed', 'no', 'nr', 'row'}
LABEL_STUDIO = {'annotator', 'annotation_id', 'created_at', 'updated_at', 'lead_time'}

NONE = {'', '-', 'none', 'no_label'}
"""A tag that says that a photo shows none of the classes, in lower case."""
UNTAGGED = {'nan', 'null', 'n/a', 'na', '<na>', '#n/a'}
"""A tag that says that nobody has tagged the photo."""
YES = {'1', '1.0', 'true', 'yes', 'y', 'x', 'ja', 'wahr', 'oui', 'vrai', 'si', 'sí', '✓', '✔'}
NO = {'', '0', '0.0', 'false', 'no', 'n', '-', 'none', 'nein', 'falsch', 'non', 'faux'}
_QUOTED = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""")

Rows = list[tuple[str, list[Any]]]
"""For each row its place, for messages, and its cells."""


class Entry(NamedTuple):
    """One statement of a table: its file and row, the photo as it is named there, and its tags."""

    where: str
    image: str
    tags: Sequence[str]


class TagTable(NamedTuple):
    """A table: form, statements (a photo may have several), classes in order, and notes."""

    form: str
    entries: Sequence[Entry]
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_table(
    path: Path, form: str, rows: Rows, names: PhotoNames, known: Collection[str] = ()
) -> TagTable:
    """Find the columns of photos and tags, and read them; ``known`` names are not taken apart."""
    if not rows:
        raise Refusal(f'{path} has no row that is not empty')
    keys = {*map(_key, rows[0][1])}
    bare = not keys & (_IMAGE | _TAG) and any(
        _is_photo(str(cell)) or names.find(str(cell)) for cell in rows[0][1]
    )
    if bare:
        form = f'{form} without header'
        rows = [('', [''] * max(len(cells) for _, cells in rows)), *rows]
    elif keys >= LABEL_STUDIO:
        form = f'Label Studio {form}'
    header, width = [_one_line(cell) for cell in rows[0][1]], len(rows[0][1])
    if long := next((row for row in rows if any(row[1][width:])), None):
        raise Refusal(
            f'{long[0]}: {len(long[1])} cells where the header has {width}; several tags in one '
            'cell need quotes, and ; between them'
        )
    cells = [row + [''] * (width - len(row)) for _, row in rows[1:]]
    columns = [[row[i] for row in cells] for i in range(width)]
    image = _image_column(path, header, columns, names)
    tags, one_hot = _tag_columns(path, header, columns, image, bare)
    unused = [header[i] or f'column {i + 1}' for i in range(width)
              if i not in (image, *tags) and (header[i] or any(columns[i]))
              and not (keys >= LABEL_STUDIO and _key(header[i]) in LABEL_STUDIO)]  # fmt: skip
    notes = [f'columns that are not used: {name_some(unused, 8)}'] if unused else []
    signs = {'|': '; another name for CLIP stands in --classes alone', '/': ''}
    entries = []
    for (where, _), row in zip(rows[1:], cells, strict=True):
        if one_hot:
            own = _ones([(header[i], str(row[i]).lower()) for i in tags], where)
        else:
            own = [tag for i in tags for tag in split_cell(row[i], where, known)]
            text = ' '.join(str(row[i]) for i in tags)
            for sign in [sign for sign in signs if sign in text and sign not in ''.join(own)]:
                notes.append(f'{sign} separates tags, such as {where}, {text!r}{signs.pop(sign)}')
        entries.append(Entry(where, row[image], own))
    if one_hot:
        return TagTable(f'one-hot {form}', entries, tuple(header[i] for i in tags), tuple(notes))
    return TagTable(form, entries, (), tuple(notes))


def _key(name: Any) -> str:
    """A header in lower case, with ``_`` between words and without a number at its end."""
    words = re.sub(r'[\W_]+', '_', str(name).lower()).strip('_')
    return re.sub(r'_?\d+\Z', '', words)


def _one_line(cell: Any) -> str:
    return ''.join(sign if sign.isprintable() else ' ' for sign in str(cell))


def _is_photo(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in PHOTO_SUFFIXES


def _is_index(name: str, cells: Sequence[Any]) -> bool:
    return _key(name) in _INDEX and all(str(cell).isdigit() for cell in cells)


def _image_column(
    path: Path, header: Sequence[str], columns: Sequence[Sequence[Any]], names: PhotoNames
) -> int:
    """The column of the names of photos, if possible of full names, and no pandas index."""

    def rank(i: int) -> tuple[bool, bool, int, int, bool, int]:
        texts = [cell for cell in columns[i][:200] if isinstance(cell, str) and names.find(cell)]
        full, called = sum(map(_is_photo, texts)), _key(header[i]) in _IMAGE
        own = not _is_index(header[i], columns[i])
        return bool(texts) or called, own, full, len(texts), called, -i

    best = max(range(len(header)), key=rank)
    if not rank(best)[0]:
        raise Refusal(
            f'{path}, row 1: no column is called image, and none has the names of the photos; the '
            f'columns are {name_some(header, 8)}'
        )
    return best


def _tag_columns(
    path: Path, header: Sequence[str], columns: Sequence[Sequence[Any]], image: int, bare: bool
) -> tuple[list[int], bool]:
    """Columns of tags, and whether each of them is a class."""
    keys = [_key(name) for name in header]
    rest = [
        i for i, cells in enumerate(columns)
        if i != image and (any(cells) or keys[i] in _TAG) and keys[i] not in LABEL_STUDIO | {'id'}
        and not (_is_index(header[i], cells) and (i < image or not bare))
    ]  # fmt: skip
    texts = {i: {str(cell).lower() for cell in columns[i]} for i in rest}
    marks = [i for i in rest if texts[i] <= YES | NO | UNTAGGED]
    bits = [i for i in rest if texts[i] & {'0', '1', '0.0', '1.0', 'true', 'false'}]
    if bare and bits:
        raise Refusal(f'{path}, row 1: a table of 0 and 1 needs a first row that names the classes')
    called = rest if bare else [i for i in rest if keys[i] in _TAG]
    if len({keys[i] for i in called}) > 1:
        both = ' and '.join(header[i] for i in called)
        raise Refusal(f'{path}, row 1: {both} may both be the tags; remove one of the columns')
    if len(called) > 1 and {*called} <= {*bits} or not called and marks:
        return sorted({*marks, *bits}), True
    if called or len(rest) == 1:
        return called or rest, False
    raise Refusal(
        f'{path}, row 1: no column is called tag; give this name to the column of the tags, one of '
        f'{name_some([*filter(None, header)], 8)}'
    )


def _ones(marks: Sequence[tuple[str, str]], where: str) -> list[str]:
    """Names of the classes of a row of marks."""
    if {mark for _, mark in marks} <= UNTAGGED:
        return ['nan']
    for name, mark in marks:
        if mark not in YES | NO:
            raise Refusal(
                f'{where}: {mark!r} in the column {name!r} is neither 0 nor 1; a table of tags has '
                'a column called tag. Remove the column if it is no class'
            )
    return [name for name, mark in marks if mark in YES]


def split_cell(cell: Any, where: str, known: Collection[str] = ()) -> list[str]:
    """Names in a cell: a list, or between ``;``, ``|``, line breaks, else ``,``, else ``/``."""
    try:
        if not isinstance(cell, str):
            return names_in(cell)
        if cell in known:
            return [cell]
        if re.match(r'[\[{]|\(.*[\'"].*\)\Z', cell):
            return _list_text(cell)
    except (TypeError, ValueError):
        raise Refusal(
            f'{where}: the tags {str(cell)[:80]!r} have to be names or a list of names'
        ) from None
    signs = next((signs for signs in ('[;|\n]', ',', '/') if re.search(signs, cell)), None)
    if signs is None or cell.lower() in UNTAGGED:
        return [cell]
    return [part.strip() for part in re.split(signs, cell) if part.strip()]


def names_in(value: Any) -> list[str]:
    """Names in a list, in ``{"choices": [...]}`` of Label Studio, or in ``{"label": name}``."""
    if value is None or isinstance(value, str):
        return ['null' if value is None else value.strip()]
    if isinstance(value, dict):
        named = [value[key] for key in value if re.fullmatch('choices|label|.*labels', key)]
        value = named if len(named) == 1 else None
    return [name for item in [*value] for name in names_in(item)]


def _list_text(text: str) -> list[str]:
    """Names of a list that was written as a text, as JSON, Python or NumPy do."""
    try:
        return names_in(json.loads(text))
    except ValueError:
        found = [first or second for first, second in _QUOTED.findall(text)]
        rest = _QUOTED.sub('', text[1:-1]).strip(', \n')
        if text[-1] not in ')]}' or (found and rest):
            raise
    return found or [part.strip() for part in rest.split(',') if part.strip()]
