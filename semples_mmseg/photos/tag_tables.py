"""Reading tag tables: which photo shows which classes.

===================== =========================================================================
form                  looks like
===================== =========================================================================
CSV or TSV            ``image,tag`` and a row for every tag of a photo, or one for all its tags,
                      separated by ``;`` or ``,``
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
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ..datasets.voc import read_object_names
from ..prepare.cls_labels import read_cls_labels
from ..utils.errors import Missing, Refusal
from ..utils.files import read_json, read_text
from ..utils.images import PHOTO_SUFFIXES

IMAGE_COLUMNS = {
    'image', 'images', 'img', 'photo', 'photos', 'picture', 'file', 'filename', 'file_name', 'path',
    'image_id', 'id', 'name',
}  # fmt: skip
TAG_COLUMNS = {
    'tag', 'tags', 'label', 'labels', 'class', 'classes', 'category', 'categories', 'keyword',
    'keywords',
}  # fmt: skip
_YES, _NO = {'1', '1.0', 'true', 'yes', 'x'}, {'', '0', '0.0', 'false', 'no'}


class Entry(NamedTuple):
    """One statement of a table: its file and row, the photo as it is named there, and its tags."""

    where: str
    image: str
    tags: Sequence[str]


class TagTable(NamedTuple):
    """A table: its form, its statements (a photo may have several), its class names in order."""

    form: str
    entries: Sequence[Entry]
    classes: tuple[str, ...] = ()


def read_tags(
    source: Path | None, photos: Sequence[str], classes: Sequence[str] | None = None
) -> TagTable:
    """Read a tag table of any form; None is a folder per class.

    ``classes`` are needed for ``cls_labels.npy``, and no tag may be another one; by default they
    are in the order of columns, categories or occurrence. Errors are those of ``read_tagged``.
    """
    if source is None:
        if alone := [photo for photo in photos if '/' not in photo]:
            raise Refusal(
                f'{alone[0]} lies in no class folder: give a tag table (--tags), or put every '
                'photo into a folder named after its class'
            )
        entries = [Entry(photo, photo, [photo.partition('/')[0]]) for photo in photos]
        table = TagTable('a folder per class', entries)
    elif source.is_dir():
        table = _voc(source)
    elif source.is_file():
        table = _read_file(source, classes)
    else:
        raise Missing(f'there is no tag table at {source}')
    if classes is None:
        named = table.classes or (tag for entry in table.entries for tag in entry.tags)
        return table._replace(classes=tuple(dict.fromkeys(named)))
    for entry in table.entries:
        for tag in entry.tags:
            if tag not in classes:
                raise Refusal(
                    f'{entry.where}: the tag {tag!r} is none of the classes {", ".join(classes)}'
                )
    return table._replace(classes=tuple(classes))


def _voc(folder: Path) -> TagTable:
    entries = []
    for file in sorted(folder.rglob('*.xml')):
        name = file.relative_to(folder).with_suffix('').as_posix()
        entries.append(Entry(str(file), name, read_object_names(str(file))))
    if not entries:
        raise Refusal(f'{folder} is a folder without VOC annotations (.xml)')
    return TagTable('VOC XML', entries)


def _read_file(path: Path, classes: Sequence[str] | None) -> TagTable:
    with open(path, 'rb') as file:
        start = file.read(64)
    if start.startswith(b'\x93NUMPY'):
        if classes is None:
            raise Refusal(f'{path} has no class names: give them with --classes')
        labels = read_cls_labels(path, classes)
        return TagTable('cls_labels.npy', [Entry(str(path), *item) for item in labels.items()])
    if start.removeprefix(b'\xef\xbb\xbf').lstrip()[:1] in (b'{', b'['):
        return _json(path, read_json(path, 'tag table'))
    return _csv(path, read_text(path, 'tag table'))


def _json(path: Path, content: Any) -> TagTable:
    if isinstance(content, dict) and {'images', 'annotations', 'categories'} <= content.keys():
        return _coco(path, content)
    entries = []
    rows = content.items() if isinstance(content, dict) else content
    for number, row in enumerate(rows, 1):
        where = f'{path}, entry {number}'
        image, tags = row if isinstance(row, tuple) else _record(where, row)
        if isinstance(tags, str):
            tags = _split([tags])
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise Refusal(f'{where}: the tags of {image!r} have to be a list of names')
        entries.append(Entry(where, _text(image, where), [tag.strip() for tag in tags]))
    return TagTable('JSON', entries)


def _record(where: str, row: Any) -> tuple[Any, Any]:
    """Image and tags of an object in a list."""
    keys = row.keys() if isinstance(row, dict) else ()
    image = next((key for key in keys if key.lower() in IMAGE_COLUMNS), None)
    tags = next((key for key in keys if key.lower() in TAG_COLUMNS), None)
    if image is None or tags is None:
        raise Refusal(f'{where}: expected {{"image": ..., "tags": [...]}}')
    return row[image], row[tags]


def _coco(path: Path, content: Mapping[str, Any]) -> TagTable:
    try:
        names = {
            category['id']: _text(category['name'], f'{path}, categories')
            for category in content['categories']
        }
        shown: dict[Any, list[str]] = {image['id']: [] for image in content['images']}
        for annotation in content['annotations']:
            shown[annotation['image_id']].append(names[annotation['category_id']])
        entries = [
            Entry(where, _text(image['file_name'], where), shown[image['id']])
            for image in content['images']
            for where in [f'{path}, image {image["id"]}']
        ]
    except (KeyError, TypeError) as error:
        raise Refusal(f'{path} is not a COCO annotation file: {error!r} is missing') from None
    return TagTable('COCO JSON', entries, tuple(names.values()))


def _csv(path: Path, text: str) -> TagTable:
    head = text.partition('\n')[0]
    delimiter = next((d for d in '\t,;' if d in head), None)
    if delimiter is None:
        raise Refusal(f'{path}, row 1: expected columns image and tag, got {head[:80]!r}')
    kind = 'TSV' if delimiter == '\t' else 'CSV'
    rows = []
    number = 0
    try:
        for row in csv.reader(io.StringIO(text), delimiter=delimiter, strict=True):
            number += 1
            cells = [cell.strip() for cell in row]
            if any(cells):
                rows.append((f'{path}, row {number}', cells))
    except csv.Error as error:  # such as a quote that is never closed
        raise Refusal(f'{path}, row {number + 1}: {error}; check the quotes') from None
    if not rows:
        raise Refusal(f'{path} has no row that is not empty')
    header = rows[0][1]
    if PurePosixPath(header[0]).suffix.lower() in PHOTO_SUFFIXES:
        entries = [Entry(where, row[0], _split(row[1:])) for where, row in rows]
        return TagTable(f'{kind} without header', entries)
    image, column = _columns(path, header)
    entries = []
    for where, row in rows[1:]:
        if any(row[len(header) :]) or (column is None and len(row) < len(header)):
            raise Refusal(
                f'{where}: {len(row)} cells where the header has {len(header)}; several tags in '
                'one cell need quotes, and ; between them'
            )
        row += [''] * (len(header) - len(row))
        if column is not None:
            tags = _split([row[column]])
        else:
            pairs = enumerate(zip(header, row, strict=False))
            tags = [name for i, (name, cell) in pairs if i != image and _is_one(cell, name, where)]
        entries.append(Entry(where, row[image], tags))
    if column is not None:
        return TagTable(kind, entries)
    classes = tuple(name for index, name in enumerate(header) if index != image)
    return TagTable(f'one-hot {kind}', entries, classes)


def _columns(path: Path, header: Sequence[str]) -> tuple[int, int | None]:
    """Column of the photos, and of the tags; None where every class has a column."""
    names = [name.lower() for name in header]
    image = next((index for index, name in enumerate(names) if name in IMAGE_COLUMNS), None)
    if image is None:
        raise Refusal(
            f'{path}, row 1: no column is called image (or {", ".join(sorted(IMAGE_COLUMNS))}); '
            f'the columns are {", ".join(header)}'
        )
    tags = next((index for index, name in enumerate(names) if name in TAG_COLUMNS), None)
    unknown = [name for index, name in enumerate(header) if index not in (image, tags)]
    if tags is not None and unknown:
        raise Refusal(
            f'{path}, row 1: unknown columns {", ".join(unknown)}; expected image and tag'
        )
    return image, tags


def _text(name: Any, where: str) -> str:
    if not isinstance(name, str) or not name.strip():
        raise Refusal(f'{where}: the name {name!r} has to be a text')
    return name


def _is_one(cell: str, name: str, where: str) -> bool:
    if cell.lower() not in _YES | _NO:
        raise Refusal(
            f'{where}: {cell!r} in the column {name!r} is neither 0 nor 1; a table of tags has a '
            'column called tag'
        )
    return cell.lower() in _YES


def _split(cells: Iterable[str]) -> list[str]:
    """Tags of cells or texts, separated by semicolons or commas."""
    parts = [part for cell in cells for part in cell.split(';' if ';' in cell else ',')]
    return [part.strip() for part in parts if part.strip()]
