"""Reading tags of any form, see docs/data.md: which photo shows which classes.

The form is recognised by the content, never by the name of the file.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..datasets.voc import read_object_names
from ..utils.errors import Missing, MissingPackage, Refusal
from ..utils.files import file_digest, parse_json, read_bytes, read_text, read_xml
from ..utils.images import PHOTO_SUFFIXES
from ..utils.lists import files_below, name_some
from ..utils.names import without_invisible
from ..utils.photo_names import PhotoNames
from .tag_tables import LABEL_STUDIO, Entry, Rows, TagTable, read_table

_NO_CLASSES = {'train', 'training', 'val', 'valid', 'validation', 'test', 'default', 'images',
               'photos', 'data', 'jpegimages'}  # fmt: skip


def read_tags(source: Path | None, names: PhotoNames, known: Collection[str]) -> TagTable:
    """Read tags of any form, as they are written; None is a folder per class.

    Names that are ``known`` are not taken apart.
    """
    if source is None:
        return _class_folders(names.root, names.photos)
    if not source.exists():
        raise Missing(f'there is no tag table at {source}')
    files = ['']
    if source.is_dir():
        kinds = ('.xml', '.json', ('.jsonl', '.csv', '.tsv', '.xlsx'), PHOTO_SUFFIXES)
        found = [files for kind in kinds if (files := files_below(source, kind))]
        if not found:
            raise Refusal(f'{source} is a folder without annotations and photos')
        files = found[0]
        if files[0].endswith(PHOTO_SUFFIXES):
            entries = _class_folders(source, files).entries
            copies = [entry._replace(image=entry.image.partition('/')[2]) for entry in entries]
            return TagTable('ImageNet folders', copies)
    tables = [_file(source / f, f or source.name, names, known) for f in files]
    one = not files[0].endswith(('.xml', '.json'))  # these may be one for each photo
    if len({table.form for table in tables}) > 1 or (one and len(files) > 1):
        raise Refusal(f'{source} holds several tables ({name_some(files)}): name one of them')
    return TagTable(
        tables[0].form,
        [entry for table in tables for entry in table.entries],
        tuple(name for table in tables for name in table.classes),
        tuple(note for table in tables for note in table.notes),
    )


def _class_folders(root: Path, photos: Sequence[str]) -> TagTable:
    if alone := [photo for photo in photos if '/' not in photo]:
        raise Refusal(
            f'{alone[0]} lies in no class folder: give a tag table (--tags), or put every '
            'photo into a folder named after its class'
        )
    tops = {photo: photo.partition('/')[0] for photo in photos}
    if {top.lower() for top in tops.values()} <= _NO_CLASSES:
        raise Refusal(
            f'{", ".join(sorted({*tops.values()}))} in {root} is no class: give a folder that '
            'holds a folder for every class, or a tag table (--tags)'
        )
    files: dict[str, Any] = {p: (p.partition('/')[2], (root / p).stat().st_size) for p in photos}
    alike = Counter(files.values())
    shown: dict[Any, list[str]] = defaultdict(list)
    for photo, file in files.items():
        files[photo] = (file, file_digest(root / photo)) if alike[file] > 1 else file
        shown[files[photo]].append(tops[photo])
    copies = [photo for photo, file in files.items() if len(shown[file]) > 1]
    notes = (f'copies of one photo have all their classes: {name_some(copies)}',) if copies else ()
    entries = [Entry(str(root / photo), photo, shown[file]) for photo, file in files.items()]
    return TagTable('a folder per class', entries, notes=notes)


def _file(path: Path, name: str, names: PhotoNames, known: Collection[str]) -> TagTable:
    """Read a file; ``name`` is its path below a folder of several."""
    content = read_bytes(path, 'tag table')
    if content.startswith(b'PK\3\4') and b'xl/workbook.xml' in content:
        return read_table(path, *_xlsx(path, content), names, known)
    if content.startswith((b'PK\3\4', b'\xd0\xcf\x11\xe0')):
        raise Refusal(f'{path} is an archive or a spreadsheet: unpack it, or save it as CSV')
    text, notes = _text(path, content)
    start = text.lstrip()[:1]
    if start == '<':
        return _xml(path, os.path.splitext(name)[0])
    found = _json(path, text.strip(), name) if start in ('{', '[') else _csv(path, text)
    table = found if isinstance(found, TagTable) else read_table(path, *found, names, known)
    return table._replace(notes=(*notes, *table.notes))


def _text(path: Path, content: bytes) -> tuple[str, list[str]]:
    """A text without invisible characters, and what to tell of it."""
    notes = []
    try:
        wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = content.decode('utf-16' if wide else 'utf-8-sig')
    except UnicodeDecodeError:
        text = content.decode('cp1252', 'replace')
        notes = [f'{path} is read as Windows-1252; if names look wrong, save it as UTF-8']
    if '\0' in text or '\ufffd' in text:
        raise Refusal(f'tag table {path} is no text in UTF-8, UTF-16 or Windows-1252')
    clean = without_invisible(text)
    if clean != text:
        line = os.path.commonprefix((clean, text)).count('\n') + 1
        notes.append(f'{path}: invisible characters are removed, first in line {line}')
    return clean, notes


def _csv(path: Path, text: str) -> tuple[str, Rows]:
    """The form, and the rows that are not empty."""
    given = re.match(r'"?sep=(.)"?[\r\n]+', text, re.I)
    text = text[given.end() :] if given else text
    head = re.sub('"[^"]*"', '', text.lstrip('\r\n').partition('\n')[0])
    delimiter = given[1] if given else next((sign for sign in head if sign in '\t,;|'), None)
    if delimiter is None:
        raise Refusal(f'{path}, row 1: expected columns image and tag, got {head[:80]!r}')
    rows: Rows = []
    number = 1 if given else 0
    try:
        for row in csv.reader(io.StringIO(text, None), delimiter=delimiter, strict=True):
            number += 1
            rows.append((f'{path}, row {number}', [cell.strip() for cell in row]))
    except csv.Error as error:  # such as a quote that is never closed
        raise Refusal(f'{path}, row {number + 1}: {error}; check the quotes') from None
    rows = [row for row in rows if any(row[1])]
    if rows and {'ImageID', 'LabelName'} <= {*rows[0][1]}:
        return 'OpenImages CSV', _open_images(path, rows)
    return 'TSV' if delimiter == '\t' else 'CSV', rows


def _xlsx(path: Path, content: bytes) -> tuple[str, Rows]:
    """The form, and the rows of the sheet that was open that are not empty."""
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise MissingPackage(
            f'{path} is an Excel file: save it as CSV (UTF-8), or pip install openpyxl'
        ) from None
    try:
        sheet = load_workbook(io.BytesIO(content), read_only=True, data_only=True).active
        values = [*sheet.values]
    except Exception as error:  # of many types on damaged files
        raise Refusal(f'{path} cannot be read as an Excel file ({error}); save it as CSV') from None
    rows: Rows = []
    for number, row in enumerate(values, 1):
        whole = [int(v) if isinstance(v, float) and v % 1 == 0 else v for v in row]
        cells = ['' if v is None else str(v).strip() for v in whole]
        rows.append((f'{path}, row {number}', cells))
    return f'xlsx, sheet {sheet.title}', [row for row in rows if any(row[1])]


def _records(path: Path, records: Sequence[Any]) -> Rows:
    """A header of the keys of JSON objects, and a row of each; ``None`` where a key is missing."""
    for number, record in enumerate(records, 1):
        if not isinstance(record, dict):
            raise Refusal(f'{path}, entry {number}: expected {{"image": ..., "tags": [...]}}')
    header = [*dict.fromkeys(key for record in records for key in record)]
    missing = '' if {*header} >= LABEL_STUDIO else None  # it leaves out empty choices
    rows = [
        (f'{path}, entry {number}', [record.get(key, missing) for key in header])
        for number, record in enumerate(records, 1)
    ]
    return [(str(path), header), *rows]


def _open_images(path: Path, rows: Rows) -> Rows:
    """Ids and tags of the photos of OpenImages, each once; a confidence of 0 means absent."""
    named: dict[str, str] = {}
    for file in path.parent.glob('*class-descriptions*.csv'):
        named |= {row[0]: row[1] for _, row in _csv(file, read_text(file))[1] if len(row) > 1}
    tags: dict[str, list[str]] = defaultdict(list)
    places: dict[str, str] = {}
    for where, row in rows[1:]:
        cells: dict[str, str] = dict(zip(rows[0][1], row, strict=False))
        image, name = cells.get('ImageID', ''), cells.get('LabelName', '')
        name = named.get(name) or name
        if name.startswith('/m/'):
            raise Refusal(
                f'{where}: {name} is a code; put the class-descriptions.csv of OpenImages beside '
                'the table'
            )
        places.setdefault(image, where)
        tags[image] += [] if cells.get('Confidence') in ('0', '0.0') else [name]
    return [('', ['image', 'tag']), *((places[i], [i, tags[i]]) for i in places)]


def _xml(path: Path, name: str) -> TagTable:
    root = read_xml(path, 'tag table')
    if root.tag != 'annotations':
        return TagTable('VOC XML', [Entry(str(path), name, read_object_names(str(path)))])
    entries = [
        Entry(f'{path}, image {i}', image.get('name', ''), [s.get('label', '') for s in image])
        for i, image in enumerate(root.iter('image'), 1)
    ]
    if not entries:
        raise Refusal(f'{path} has no <image>: export the task as "CVAT for images"')
    return TagTable('CVAT XML', entries)


def _json(path: Path, text: str, name: str) -> TagTable | tuple[str, Rows]:
    lines = [line for line in text.split('\n') if line.strip()]
    if len(lines) > 1 and text[0] == '{' and lines[0].rstrip().endswith('}'):
        records = [parse_json(line, f'{path}, line {n}') for n, line in enumerate(lines, 1)]
        return 'JSON lines', _records(path, records)
    content, form = parse_json(text, f'tag table {path}'), 'JSON'
    keys = {*content} if isinstance(content, dict) else set()
    try:
        if {'images', 'annotations', 'categories'} <= keys:
            form = 'COCO JSON'
            return _coco(path, content)
        if {'classes', 'labels'} <= keys and isinstance(content['labels'], dict):
            form, classes = 'FiftyOne JSON', content['classes'] or []
            labels = content['labels'].items()
            content = {i: _fiftyone(value, classes) for i, value in labels}
        elif 'imagePath' in keys:
            form = 'labelme JSON'
            tags = [flag for flag, is_set in (content.get('flags') or {}).items() if is_set]
            tags += [shape['label'] for shape in content.get('shapes') or ()]
            image = os.path.join(os.path.dirname(name), content['imagePath'].replace('\\', '/'))
            return TagTable(form, [Entry(str(path), os.path.normpath(image), tags)])
        elif not keys and content and {'data', 'annotations'} <= {*content[0]}:
            form = 'Label Studio JSON'
            content = [_label_studio(task) for task in content]
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise Refusal(f'{path} is not a {form} file: {error!r}') from None
    if not isinstance(content, dict):
        return form, _records(path, content)
    rows: Rows = [(f'{path}, {image!r}', [image, tags]) for image, tags in content.items()]
    return form, [('', ['image', 'tags']), *rows]


def _coco(path: Path, content: Mapping[str, Any]) -> TagTable:
    named = {category['id']: category['name'] for category in content['categories']}
    shown: dict[Any, list[str]] = {image['id']: [] for image in content['images']}
    for annotation in content['annotations']:
        shown[annotation['image_id']].append(named[annotation['category_id']])
    entries = [
        Entry(f'{path}, image {image["id"]}', image['file_name'], shown[image['id']])
        for image in content['images']
    ]
    return TagTable('COCO JSON', entries, tuple(named.values()))


def _fiftyone(value: Any, classes: Sequence[str]) -> Any:
    """Names in the labels of a photo: indices, names, objects with a ``label``, or a list."""
    if isinstance(value, list):
        return [_fiftyone(item, classes) for item in value]
    value = value['label'] if isinstance(value, dict) else value
    return classes[value] if isinstance(value, int) else value


def _label_studio(task: Mapping[str, Any]) -> dict[str, Any]:
    """Data of a task, and ``choices``: names that people chose, and of the regions they drew."""
    done = [a for a in task['annotations'] if not a.get('was_cancelled')]
    results = [result for annotation in done for result in annotation['result']]
    chosen = [result['value'].get(result['type']) for result in results
              if result['type'] == 'choices' or result['type'].endswith('labels')]  # fmt: skip
    data = {key: value for key, value in task['data'].items() if isinstance(value, str)}
    return {**data, 'choices': chosen if done else None}
