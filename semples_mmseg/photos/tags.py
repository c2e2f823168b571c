"""Photos and their tags: finding the photos that a tag table names, and writing a data set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..utils.classes import label_name, prompt_name
from ..utils.errors import Refusal
from ..utils.io import atomic_write, write_json
from ..utils.lists import folded, image_ids
from .tag_tables import Entry, TagTable


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


def match_photos(root: Path, photos: Sequence[str], table: TagTable) -> TaggedPhotos:
    """Find the photo of every entry of a table.

    A table may name a photo by its path below the folder, by its file name, with or without
    suffix, in any case and in either Unicode form of accents.

    Raises:
        ValueError: If an entry names a photo that is not there, or more than one; if a class name
            is empty, ``background``, or differs from another one only in case; if nothing is
            tagged.
    """
    _check_classes(table)
    by_name: dict[str, list[str]] = defaultdict(list)
    for photo in photos:
        path = PurePosixPath(photo)
        for name in {photo, str(path.with_suffix('')), path.name, path.stem}:
            by_name[folded(name)].append(photo)
    tags: dict[str, list[str]] = {}
    for entry in table.entries:
        photo = _find(entry, by_name, root)
        own = tags.setdefault(photo, [])
        own.extend(tag for tag in entry.tags if tag not in own)
    if not any(tags.values()):
        raise Refusal(f'{root}: no photo has a tag, so there is nothing to learn from')
    untagged = tuple(photo for photo in photos if photo not in tags)
    frozen = {photo: tuple(own) for photo, own in sorted(tags.items())}
    return TaggedPhotos(root, table.form, table.classes, frozen, untagged)


def suffixes_of(ids: Mapping[str, str]) -> list[str]:
    """The ``img_suffix`` by which a data set finds photos by their ids."""
    return sorted({photo.removeprefix(name) for photo, name in ids.items()}, key=len, reverse=True)


def labels_of(tagged: TaggedPhotos) -> dict[str, list[str]]:
    """Class names, as in masks and tables, of every photo by its image id."""
    ids = image_ids(tagged.tags)
    return {ids[photo]: [label_name(tag) for tag in tags] for photo, tags in tagged.tags.items()}


def write_dataset(tagged: TaggedPhotos, folder: Path) -> list[Path]:
    """Write what a ``WeakLabelDataset`` reads.

    ``list.txt`` has the ids of the tagged photos, see ``image_ids``; ``labels.json`` their class
    names; ``classes.txt`` the class names as they were written.

    Args:
        tagged: Photos and tags.
        folder: Where the files go.

    Returns:
        The files.
    """
    labels = labels_of(tagged)
    for name, lines in (('list.txt', labels), ('classes.txt', tagged.classes)):
        with atomic_write(folder / name) as file:
            file.writelines(f'{line}\n' for line in lines)
    write_json(folder / 'labels.json', labels, indent=0, ensure_ascii=False)
    return [folder / name for name in ('list.txt', 'labels.json', 'classes.txt')]


def _find(entry: Entry, by_name: Mapping[str, Sequence[str]], root: Path) -> str:
    name = entry.image.replace('\\', '/').removeprefix('./')
    found = by_name.get(folded(name), [])
    if name in found:
        return name
    if len(found) == 1:
        return found[0]
    if found:
        raise Refusal(
            f'{entry.where}: {entry.image!r} may be any of {", ".join(found[:3])}; give the path '
            f'below {root}, with suffix'
        )
    raise Refusal(
        f'{entry.where}: there is no photo {entry.image!r} in {root}; remove the row or add the '
        'photo'
    )


def _check_classes(table: TagTable) -> None:
    seen: dict[str, str] = {}
    first = {tag: entry.where for entry in reversed(table.entries) for tag in entry.tags}
    for name in table.classes:
        where = first.get(name, 'the class names')
        plain = label_name(name)
        if not plain or not prompt_name(name):
            raise Refusal(f'{where}: {name!r} is no class name')
        if plain.casefold() == 'background':
            raise Refusal(
                f'{where}: background is not a tag; a photo that shows none of the classes has an '
                'empty tag'
            )
        other = seen.setdefault(folded(plain), name)
        if other != name:
            raise Refusal(f'{where}: the classes {other!r} and {name!r} have the same name')
