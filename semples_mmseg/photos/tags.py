"""Photos and their tags: finding the photos that a tag table names, and writing a data set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..utils.classes import label_name, read_classes
from ..utils.errors import Missing, Refusal
from ..utils.files import read_lines
from ..utils.io import atomic_write, write_json
from ..utils.lists import find_photos, folded, image_ids
from .tag_tables import Entry, TagTable, read_tags


@dataclass(frozen=True)
class TaggedPhotos:
    """Photos and their tags.

    Attributes:
        root: Folder of the photos.
        form: Form of the table.
        classes: Class names as written; see ``label_name`` and ``prompt_name``.
        tags: For each tagged photo, its path below ``root`` with slashes and its class names.
        untagged: Photos that the table does not name.
    """

    root: Path
    form: str
    classes: tuple[str, ...]
    tags: Mapping[str, tuple[str, ...]]
    untagged: tuple[str, ...]


def read_tagged(root: Path, source: Path | None, classes: Path | None = None) -> TaggedPhotos:
    """Find photos, and read their tags.

    A table may name a photo by its path below the folder, by its file name, with or without
    suffix, in any case and in either Unicode form of accents.

    Args:
        root: Folder of the photos.
        source: Tag table, see ``tag_tables``; None for a folder per class.
        classes: Text file of the class names, one a line.

    Raises:
        Missing: If there are no photos, no such table or no such file of class names.
        Refusal: If the table is wrong, names no photo, or more than one, or tags nothing; if a
            class name is empty, ``background``, or another one in other case.
    """
    photos = find_photos(root)
    if classes and not classes.is_file():
        raise Missing(f'--classes: there is no file {classes}')
    table = read_tags(source, photos, read_lines(classes, '--classes') if classes else None)
    _check_classes(table)
    by_name: dict[str, list[str]] = defaultdict(list)
    for photo in photos:
        path = PurePosixPath(photo)
        for name in {photo, str(path.with_suffix('')), path.name, path.stem}:
            by_name[folded(name)].append(photo)
    tags: dict[str, tuple[str, ...]] = {}
    for entry in table.entries:
        photo = _find(entry, by_name, root)
        tags[photo] = tuple(dict.fromkeys((*tags.get(photo, ()), *entry.tags)))
    if not any(tags.values()):
        raise Refusal(f'{root}: no photo has a tag, so there is nothing to learn from')
    untagged = tuple(photo for photo in photos if photo not in tags)
    return TaggedPhotos(root, table.form, table.classes, dict(sorted(tags.items())), untagged)


def labels_of(tagged: TaggedPhotos) -> dict[str, list[str]]:
    """Class names, as in masks and tables, of every photo by its image id."""
    ids = image_ids(tagged.tags)
    return {ids[photo]: [label_name(tag) for tag in tags] for photo, tags in tagged.tags.items()}


def write_dataset(tagged: TaggedPhotos, folder: Path) -> list[Path]:
    """Write what a ``WeakLabelDataset`` reads, and return the files.

    ``list.txt`` has the ids of the tagged photos, see ``image_ids``; ``labels.json`` their class
    names; ``classes.txt`` the class names as they were written.
    """
    labels = labels_of(tagged)
    for name, lines in (('list.txt', labels), ('classes.txt', tagged.classes)):
        with atomic_write(folder / name) as file:
            file.writelines(f'{line}\n' for line in lines)
    write_json(folder / 'labels.json', labels, indent=0, ensure_ascii=False)
    return [folder / name for name in ('list.txt', 'labels.json', 'classes.txt')]


def _find(entry: Entry, by_name: Mapping[str, Sequence[str]], root: Path) -> str:
    """The photo of an entry."""
    name = entry.image.replace('\\', '/').removeprefix('./')
    found = by_name.get(folded(name), [])
    if name in found:
        return name
    if not found:
        raise Refusal(
            f'{entry.where}: there is no photo {entry.image!r} in {root}; remove the row or add '
            'the photo'
        )
    if len(found) > 1:
        raise Refusal(
            f'{entry.where}: {entry.image!r} may be any of {", ".join(found[:3])}; give the path '
            f'below {root}, with suffix'
        )
    return found[0]


def _check_classes(table: TagTable) -> None:
    seen: dict[str, str] = {}
    first = {tag: entry.where for entry in reversed(table.entries) for tag in entry.tags}
    for name in table.classes:
        where = first.get(name, 'the class names')
        read_classes([name], where)
        other = seen.setdefault(folded(label_name(name)), name)
        if other != name:
            raise Refusal(f'{where}: the classes {other!r} and {name!r} have the same name')
