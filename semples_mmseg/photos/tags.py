"""Photos and their tags: finding the photos that a tag table names, and writing a data set."""

from __future__ import annotations

import tempfile
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..utils.classes import label_name, read_classes
from ..utils.errors import Missing, Refusal
from ..utils.files import read_lines
from ..utils.io import atomic_write, write_json
from ..utils.lists import find_photos, folded, image_ids, name_some
from ..utils.names import count, without_invisible
from ..utils.photo_names import PhotoNames
from .tag_files import read_tags
from .tag_tables import NONE, UNTAGGED, Entry, TagTable


@dataclass(frozen=True)
class TaggedPhotos:
    """Photos below ``root`` and their tags, by a table of some ``form``.

    Attributes:
        classes: Class names as written; see ``label_name`` and ``prompt_name``.
        tags: For each tagged photo, its path below ``root`` with slashes and its class names.
        untagged: Photos that the table does not tag.
        missing: Which photos of the table are not in the folder, and the fix; empty if none.
        notes: What was read otherwise than it is written, a line each.
    """

    root: Path
    form: str
    classes: tuple[str, ...]
    tags: Mapping[str, tuple[str, ...]]
    untagged: tuple[str, ...]
    missing: str = ''
    notes: tuple[str, ...] = ()


def read_tagged(
    root: Path,
    source: Path | None,
    classes: Path | None = None,
    renames: Iterable[tuple[str, str]] = (),
) -> TaggedPhotos:
    """Find photos below ``root``, and read their tags; None is a folder per class.

    ``classes`` is a text file of the class names, one a line, ``renames`` has names of the table
    and what they are called here ('' for no class). Refused are tables that are wrong, names of
    several photos or of none, and class names that are empty or differ in case only.
    """
    names = PhotoNames(find_photos(root), root)
    if classes and not classes.is_file():
        raise Missing(f'--classes: there is no file {classes}')
    lines = read_lines(classes, '--classes') if classes else []
    listed = [unicodedata.normalize('NFC', line) for line in lines]
    known = {label_name(name): name for name in listed} | {name: name for name in listed}
    table = read_tags(source, names, {*known, *dict(renames)})
    table = _named_here(table, dict(renames), known, f'{source or root}')
    found, missing, note = _match(table.entries, names)
    if not any(found.values()):
        raise Refusal(missing or f'{root}: no photo has a tag, so there is nothing to learn from')
    untagged = tuple(photo for photo in names.photos if photo not in found)
    notes = (*table.notes, *note)
    found = {photo: found[photo] for photo in sorted(found)}
    return TaggedPhotos(root, table.form, table.classes, found, untagged, missing, notes)


def labels_of(tagged: TaggedPhotos) -> dict[str, list[str]]:
    """Class names, as in masks and tables, of every photo by its image id."""
    ids = image_ids(tagged.tags)
    return {ids[photo]: [label_name(tag) for tag in tags] for photo, tags in tagged.tags.items()}


def write_dataset(tagged: TaggedPhotos, folder: Path) -> list[Path]:
    """Write ``list.txt``, ``labels.json`` and ``classes.txt`` (names as written); return them."""
    labels = labels_of(tagged)
    for name, lines in (('list.txt', labels), ('classes.txt', tagged.classes)):
        with atomic_write(folder / name) as file:
            file.writelines(f'{line}\n' for line in lines)
    write_json(folder / 'labels.json', labels, indent=0, ensure_ascii=False)
    return [folder / name for name in ('list.txt', 'labels.json', 'classes.txt')]


def _named_here(
    table: TagTable, renames: Mapping[str, str], known: Mapping[str, str], place: str
) -> TagTable:
    """The table with the names that classes have here, without words for no class and no tag."""
    first: dict[str, str] = {}
    told = [*((entry.where, entry.tags) for entry in table.entries), (place, table.classes)]
    for where, tags in told:
        for tag in tags:
            if not isinstance(tag, str):
                raise Refusal(f'{where}: the name {tag!r} has to be a text')
            first.setdefault(tag, where)
    used = {tag for entry in table.entries for tag in entry.tags}
    seen = {tag: without_invisible(tag).strip() for tag in first}
    odd = [f'{first[tag]}, {tag!a}' for tag in first if seen[tag] != tag.strip()]
    notes = [f'invisible characters are removed: {name_some(odd)}'] if odd else []
    seen = {tag: unicodedata.normalize('NFC', name) for tag, name in seen.items()}
    if unused := renames.keys() - seen.values():
        raise Refusal(f'--map: no tag is called {min(unused)!r}; there are {name_some([*first])}')
    here = {tag: renames.get(name, name) for tag, name in seen.items()}
    here = {tag: '' if name.lower() in NONE | UNTAGGED else name for tag, name in here.items()}
    for tag, name in here.items():
        if known and name and name not in known and tag in used:
            same = [f': --map "{name}={k}"' for k in known if folded(k) == folded(name)]
            raise Refusal(
                f'{first[tag]}: the tag {name!r} is none of the classes {", ".join(known)}; rename '
                f'it{same[0] if same else " with --map"}'
            )
    entries, untagged = [], []
    for entry in table.entries:
        if entry.tags and {seen[tag].lower() for tag in entry.tags} <= UNTAGGED:
            untagged.append(entry.where)
            continue
        tags = [known.get(here[tag], here[tag]) for tag in entry.tags if here[tag]]
        entries.append(entry._replace(tags=tags))
    if untagged:
        rows = f'{count(len(untagged), "row")} not tagged (nan, null, n/a) and left out'
        notes.append(f'{rows}: {name_some(untagged)}')
    places = {here[tag]: first[tag] for tag in reversed(first)}
    ordered = dict.fromkeys(known.values() or [here[tag] for tag in table.classes or first])
    classes = [name for name in ordered if name]
    _check_classes(classes, places, not known)
    return TagTable(table.form, entries, tuple(classes), (*table.notes, *notes))


def _check_classes(classes: Sequence[str], places: Mapping[str, str], of_table: bool) -> None:
    seen: dict[str, str] = {}
    for name in classes:
        where = places.get(label_name(name), 'the class names')
        if '|' in name and of_table:
            raise Refusal(
                f'{places[name]}: the class {name!r} has a |; a name for CLIP stands in --classes '
                'alone. Rename the class with --map'
            )
        read_classes([name], where)
        other = seen.setdefault(folded(label_name(name)), name)
        if other != name:
            raise Refusal(
                f'{where}: the classes {other!r} and {name!r} have the same name; make them one: '
                f'--map "{name}={other}"'
            )


def _match(
    entries: Sequence[Entry], names: PhotoNames
) -> tuple[dict[str, tuple[str, ...]], str, list[str]]:
    """Tags of the photos that a table names, what it names and is missing, and notes."""
    tags: dict[str, tuple[str, ...]] = {}
    named: dict[str, str] = {}
    guessed: dict[str, str] = {}
    missing: dict[str, str] = {}
    mixed: list[str] = []
    for image, where, own in ((entry.image, entry.where, entry.tags) for entry in entries):
        if not isinstance(image, str) or not image.strip():
            raise Refusal(f'{where}: the name {image!r} of a photo has to be a text')
        found = names.find(image)
        if len(found) > 1:
            raise Refusal(
                f'{where}: {image!r} may be any of {name_some(found)}; give the path below '
                f'{names.root}, with suffix'
            )
        if not found:
            missing[image] = where
            continue
        before = named.setdefault(found[0], image)
        if not names.named(image):
            guessed[found[0]] = image
        if before != image and found[0] in guessed:
            raise Refusal(
                f'{where}: {before!r} and {image!r} may both be the photo {found[0]}; give paths '
                f'below {names.root}'
            )
        if bool(tags.get(found[0], own)) != bool(own):
            mixed.append(image)
        tags[found[0]] = tuple(dict.fromkeys((*tags.get(found[0], ()), *own)))
    notes = [
        f'names that hold more than the path of a photo: {len(guessed)}, such as {image!r}, which '
        f'is {photo}'
        for photo, image in [*guessed.items()][:1]
    ]
    if mixed:
        notes.append(
            f'tagged in one row and with none in another, the tag counts: {name_some(mixed)}'
        )
    return tags, _explain(missing, names, len(tags)) if missing else '', notes


def _explain(missing: Mapping[str, str], names: PhotoNames, found: int) -> str:
    """Which photos are missing, what is there in their place, and what to do."""
    numbers = {int(p.stem): p for p in map(PurePosixPath, names.photos) if p.stem.isdecimal()}
    lines = []
    for image, where in missing.items():
        path = PurePosixPath(image.replace('\\', '/'))
        hint = ''.join(f'; there is {photo}' for photo in names.find(path.name)[:1])
        if path.stem.isdecimal() and int(path.stem) in numbers:
            hint = f'; there is {numbers[int(path.stem)]}: a spreadsheet may have dropped the zeros'
        shown = image if image.isprintable() else ascii(image)
        lines.append(f'{shown} ({where.rpartition(", ")[2]}{hint})')
    whole = ''
    if len(lines) > 10:
        with tempfile.NamedTemporaryFile(
            'w', prefix='semples-missing-', suffix='.txt', delete=False, encoding='utf-8'
        ) as file:
            file.writelines(f'{line}\n' for line in lines)
        whole = f' ... (all: {file.name})'
    return (
        f'{len(missing)} of {len(missing) + found} photos of the table are not in {names.root}: '
        f'{", ".join(lines[:10])}{whole}; add them, or leave them out with --skip-missing'
    )
