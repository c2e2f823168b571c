"""Reading tag tables: which photo shows which classes.

===================== =========================================================================
form                  looks like
===================== =========================================================================
long CSV or TSV       ``image,tag`` and one row for every tag of a photo
list CSV or TSV       ``image,tags`` and one row a photo, its tags separated by ``;`` or ``,``
one-hot CSV or TSV    ``image,cat,dog`` and 0 or 1 in every class column
JSON                  ``{"a.jpg": ["cat"]}`` or ``[{"image": "a.jpg", "tags": ["cat"]}]``
COCO JSON             ``images``, ``annotations``, ``categories``
VOC XML               a folder of ``<photo>.xml`` with ``<object><name>``
cls_labels.npy        multi-hot vectors by photo; needs the class names
folder per class      ``PHOTOS/cat/1.jpg``: no table at all
===================== =========================================================================

The form is recognised by the content, never by the name of the file.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..datasets.voc import read_object_names
from ..prepare.cls_labels import read_cls_labels
from ..utils.errors import Missing, Refusal
from ..utils.files import read_json, read_text
from ..utils.images import PHOTO_SUFFIXES

IMAGE_COLUMNS = frozenset(
    (
        'image', 'images', 'img', 'photo', 'photos', 'picture', 'file', 'filename', 'file_name',
        'path', 'image_id', 'id', 'name',
    )
)  # fmt: skip
TAG_COLUMNS = frozenset(
    (
        'tag', 'tags', 'label', 'labels', 'class', 'classes', 'category', 'categories', 'keyword',
        'keywords',
    )
)  # fmt: skip
_YES, _NO = frozenset(('1', '1.0', 'true', 'yes', 'x')), frozenset(('', '0', '0.0', 'false', 'no'))


@dataclass(frozen=True)
class Entry:
    """One statement of a tag table.

    Attributes:
        where: File and row, for messages.
        image: The photo, as the table names it.
        tags: Its tags; empty where the table says that it shows none of the classes.
    """

    where: str
    image: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class TagTable:
    """A tag table as it was read.

    Attributes:
        form: Name of its form.
        entries: Its statements, in order; a photo may have several.
        classes: Class names in the order of the table's columns or categories, else of first
            occurrence.
    """

    form: str
    entries: tuple[Entry, ...]
    classes: tuple[str, ...]


def read_tags(
    source: Path | None, photos: Sequence[str], classes: Sequence[str] | None = None
) -> TagTable:
    """Read a tag table of any form.

    Args:
        source: File or folder; None for a folder per class.
        photos: See ``utils.lists.find_photos``.
        classes: Class names in order; needed for ``cls_labels.npy``. With other forms they set the
            order, and a tag that is not among them is an error.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If no form fits; the message names file and row.
    """
    if source is None:
        table = _folders(photos)
    elif source.is_dir():
        table = _voc(source)
    elif not source.is_file():
        raise Missing(f'there is no tag table at {source}')
    else:
        table = _read_file(source, classes)
    if classes is None:
        return table
    unknown = next(
        ((entry.where, tag) for entry in table.entries for tag in entry.tags if tag not in classes),
        None,
    )
    if unknown:
        raise Refusal(
            f'{unknown[0]}: the tag {unknown[1]!r} is none of the classes {", ".join(classes)}'
        )
    return TagTable(table.form, table.entries, tuple(classes))


def _ordered(tags: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(tags))


def _table(form: str, entries: Sequence[Entry], classes: Iterable[str] | None = None) -> TagTable:
    if classes is None:
        classes = (tag for entry in entries for tag in entry.tags)
    return TagTable(form, tuple(entries), _ordered(classes))


def _folders(photos: Sequence[str]) -> TagTable:
    entries = []
    for photo in photos:
        folder, *rest = photo.split('/')
        if not rest:
            raise Refusal(
                f'{photo} lies in no class folder: give a tag table (--tags), or put every photo '
                'into a folder named after its class'
            )
        entries.append(Entry(photo, photo, (folder,)))
    return _table('a folder per class', entries)


def _voc(folder: Path) -> TagTable:
    files = sorted(folder.rglob('*.xml'))
    if not files:
        raise Refusal(f'{folder} is a folder without VOC annotations (.xml)')
    entries = [
        Entry(
            str(file),
            file.relative_to(folder).with_suffix('').as_posix(),
            _ordered(read_object_names(str(file))),
        )
        for file in files
    ]
    return _table('VOC XML', entries)


def _read_file(path: Path, classes: Sequence[str] | None) -> TagTable:
    with open(path, 'rb') as file:
        start = file.read(64)
    if start.startswith(b'\x93NUMPY'):
        if classes is None:
            raise Refusal(f'{path} has no class names: give them with --classes')
        labels = read_cls_labels(path, classes)
        entries = [Entry(str(path), name, tuple(tags)) for name, tags in labels.items()]
        return _table('cls_labels.npy', entries, classes)
    if start.removeprefix(b'\xef\xbb\xbf').lstrip()[:1] in (b'{', b'['):
        return _json(path, read_json(path, 'tag table'))
    return _csv(path, read_text(path, 'tag table'))


def _json(path: Path, content: Any) -> TagTable:
    if isinstance(content, dict) and {'images', 'annotations', 'categories'} <= content.keys():
        return _coco(path, content)
    if isinstance(content, list):
        content = list(_records(path, content))
    elif isinstance(content, dict):
        content = list(content.items())
    entries = []
    for number, (image, tags) in enumerate(content, 1):
        where = f'{path}, entry {number}'
        if isinstance(tags, str):
            tags = _split(tags)
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise Refusal(f'{where}: the tags of {image!r} have to be a list of names')
        entries.append(Entry(where, str(image), _ordered(tag.strip() for tag in tags)))
    return _table('JSON', entries)


def _records(path: Path, rows: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    for number, row in enumerate(rows, 1):
        keys = row.keys() if isinstance(row, dict) else ()
        image = next((key for key in keys if key.lower() in IMAGE_COLUMNS), None)
        tags = next((key for key in keys if key.lower() in TAG_COLUMNS), None)
        if image is None or tags is None:
            raise Refusal(f'{path}, entry {number}: expected {{"image": ..., "tags": [...]}}')
        yield row[image], row[tags]


def _coco(path: Path, content: Mapping[str, Any]) -> TagTable:
    try:
        names = {category['id']: category['name'] for category in content['categories']}
        shown: dict[Any, list[str]] = {image['id']: [] for image in content['images']}
        for annotation in content['annotations']:
            shown[annotation['image_id']].append(names[annotation['category_id']])
        entries = [
            Entry(f'{path}, image {image["id"]}', image['file_name'], _ordered(shown[image['id']]))
            for image in content['images']
        ]
    except (KeyError, TypeError) as error:
        raise Refusal(f'{path} is not a COCO annotation file: {error!r} is missing') from None
    return _table('COCO JSON', entries, names.values())


def _csv(path: Path, text: str) -> TagTable:
    head = text.partition('\n')[0]
    delimiter = next((d for d in '\t,;' if d in head), None)
    if delimiter is None:
        raise Refusal(f'{path}, row 1: expected columns image and tag, got {head[:80]!r}')
    kind = 'TSV' if delimiter == '\t' else 'CSV'
    rows = [
        (number, [cell.strip() for cell in row])
        for number, row in enumerate(csv.reader(io.StringIO(text), delimiter=delimiter), 1)
        if any(cell.strip() for cell in row)
    ]
    (_, header), *body = rows
    if PurePosixPath(header[0]).suffix.lower() in PHOTO_SUFFIXES:  # no header
        return _tag_columns(path, f'{kind} without header', 0, None, rows)
    names = [name.lower() for name in header]
    images = [index for index, name in enumerate(names) if name in IMAGE_COLUMNS]
    if not images:
        raise Refusal(
            f'{path}, row 1: no column is called image (or {", ".join(sorted(IMAGE_COLUMNS))}); '
            f'the columns are {", ".join(header)}'
        )
    tags = [index for index, name in enumerate(names) if name in TAG_COLUMNS]
    if tags:
        unknown = [header[i] for i in range(len(names)) if i not in (images[0], *tags)]
        if len(tags) > 1 or unknown:
            extra = ', '.join(unknown or [header[i] for i in tags[1:]])
            raise Refusal(f'{path}, row 1: unknown columns {extra}; expected image and tag')
        return _tag_columns(path, kind, images[0], tags[0], body)
    return _one_hot(path, kind, header, images[0], body)


def _tag_columns(
    path: Path, kind: str, image: int, column: int | None, rows: Sequence[tuple[int, list[str]]]
) -> TagTable:
    entries, listed = [], False
    for number, row in rows:
        where = f'{path}, row {number}'
        if len(row) <= image or not row[image]:
            raise Refusal(f'{where}: no photo is named')
        if column is not None and len(row) > max(image, column) + 1 and any(row[column + 1 :]):
            raise Refusal(
                f'{where}: {len(row)} cells where the header has {max(image, column) + 1}; put '
                'several tags into quotes, separated by ;'
            )
        cells = row[image + 1 :] if column is None else row[column : column + 1]
        tags = _ordered(tag for cell in cells for tag in _split(cell))
        listed = listed or len(tags) > 1
        entries.append(Entry(where, row[image], tags))
    return _table(f'{"list" if listed else "long"} {kind}', entries)


def _one_hot(
    path: Path, kind: str, header: Sequence[str], image: int, rows: Sequence[tuple[int, list[str]]]
) -> TagTable:
    classes = {index: name for index, name in enumerate(header) if index != image}
    entries = []
    for number, row in rows:
        where, tags = f'{path}, row {number}', []
        if len(row) != len(header):
            raise Refusal(f'{where}: {len(row)} cells where the header has {len(header)}')
        for index, name in classes.items():
            value = row[index].lower()
            if value not in _YES | _NO:
                raise Refusal(
                    f'{where}: {row[index]!r} in the column {name!r} is neither 0 nor 1; a table '
                    'of tags has a column called tag'
                )
            if value in _YES:
                tags.append(name)
        entries.append(Entry(where, row[image], tuple(tags)))
    return _table(f'one-hot {kind}', entries, classes.values())


def _split(cell: str) -> list[str]:
    """Tags of a cell or text, separated by semicolons or commas."""
    parts = cell.split(';') if ';' in cell else cell.split(',')
    return [part.strip() for part in parts if part.strip()]
