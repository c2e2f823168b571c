"""Checks of photos and tags before training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mmengine.config import Config

from ..utils.errors import Missing, Refusal
from ..utils.files import read_json, read_lines
from ..utils.images import read_image
from ..utils.io import write_json
from ..utils.label_png import check_num_classes
from ..utils.lists import find_images, find_photos, name_some
from ..utils.parallel import parallel_map
from ..utils.progress import progress
from .run import Run
from .tag_tables import read_tags
from .tags import TaggedPhotos, match_photos

FEWEST = 2
"""A class with fewer photos cannot be distinguished from the rest of its photo."""


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Attributes:
        tagged: Photos and tags as the table has them.
        sizes: Height and width of each tagged photo that can be read.
        unreadable: Reason for each tagged photo that cannot.
    """

    tagged: TaggedPhotos
    sizes: Mapping[str, tuple[int, int]]
    unreadable: Mapping[str, str]

    @property
    def counts(self) -> dict[str, int]:
        """Readable photos of each class."""
        readable = (tags for photo, tags in self.tagged.tags.items() if photo in self.sizes)
        counts = Counter(tag for tags in readable for tag in tags)
        return {name: counts[name] for name in self.tagged.classes}

    @property
    def negatives(self) -> int:
        """Readable photos that show none of the classes."""
        return sum(not self.tagged.tags[photo] for photo in self.sizes)

    @property
    def mean_pixels(self) -> float:
        """Mean number of pixels of a readable photo."""
        return sum(h * w for h, w in self.sizes.values()) / max(len(self.sizes), 1)

    def findings(self) -> list[str]:
        """What is wrong or doubtful, each with its fix."""
        found = []
        if self.unreadable:
            photo, reason = next(iter(self.unreadable.items()))
            found.append(
                f'{len(self.unreadable)} photos cannot be read, such as {photo} ({reason}); '
                'replace them, or leave them out with --skip-unreadable'
            )
        rare = [f'{name} ({count})' for name, count in self.counts.items() if count < FEWEST]
        if rare:
            found.append(
                f'too few photos to learn from: {name_some(rare)}; tag more photos, or leave these '
                'classes out with --skip-rare'
            )
        if self.tagged.untagged:
            found.append(
                f'{len(self.tagged.untagged)} photos are not in the table and are not used: '
                f'{name_some(self.tagged.untagged)}; a photo that shows none of the classes is a '
                'row with an empty tag'
            )
        if len(self.tagged.classes) == 1 and not self.negatives:
            found.append(
                f'every photo shows {self.tagged.classes[0]}, so the rest cannot be learned; '
                'add photos without it, with an empty tag'
            )
        return found

    def usable(self, skip_unreadable: bool, skip_rare: bool) -> TaggedPhotos:
        """Photos and tags to train on.

        Args:
            skip_unreadable: Whether photos that cannot be read are left out.
            skip_rare: Whether classes of fewer than two photos are left out.

        Raises:
            ValueError: If there are such photos or classes and they may not be left out, or if no
                class has two photos.
        """
        rare = {name for name, count in self.counts.items() if count < FEWEST}
        if (self.unreadable and not skip_unreadable) or (rare and not skip_rare):
            problem = 0 if self.unreadable and not skip_unreadable else bool(self.unreadable)
            raise Refusal(f'{self.tagged.root}: {self.findings()[problem]}')
        tags = {
            photo: tuple(tag for tag in own if tag not in rare)
            for photo, own in self.tagged.tags.items()
            if photo in self.sizes
        }
        classes = tuple(name for name in self.tagged.classes if name not in rare)
        if not classes:
            raise Refusal(f'{self.tagged.root}: no class has {FEWEST} photos that can be read')
        check_num_classes(len(classes) + 1, str(self.tagged.root))
        return replace(self.tagged, classes=classes, tags=tags)


def inspect_photos(
    photos: Path,
    tags: Path | None,
    classes: Path | None = None,
    record: Path | None = None,
) -> Inspection:
    """Find photos, read their tags and decode every tagged photo.

    Args:
        photos: Folder of the photos.
        tags: Tag table; None for a folder per class.
        classes: Text file of the class names, one a line.
        record: File of ``record_sizes``, if it exists: photos that have not changed since are not
            decoded again.

    Raises:
        FileNotFoundError: If there are no photos or no such table.
        ValueError: If the table is wrong; the message names file and row.
    """
    found = find_photos(photos)
    names = read_lines(str(classes), '--classes') if classes else None
    tagged = match_photos(photos, found, read_tags(tags, found, names))
    known = read_json(record) if record and record.is_file() else {}
    paths = {name: photos / name for name in tagged.tags}
    new = [name for name, path in paths.items() if known.get(name, [])[:2] != _version(path)]
    decoded = parallel_map(_size_of, [paths[name] for name in new])
    results = dict(zip(new, progress(decoded, 'reading photos', len(new)), strict=True))
    sizes: dict[str, tuple[int, int]] = {}
    unreadable: dict[str, str] = {}
    for name in tagged.tags:
        result = results.get(name) or tuple(known[name][2:])
        if isinstance(result, str):
            unreadable[name] = result
        else:
            sizes[name] = result
    return Inspection(tagged, sizes, unreadable)


def record_sizes(found: Inspection, record: Path) -> None:
    """Write the sizes of readable photos, with file size and time to detect changes."""
    entries = {n: [*_version(found.tagged.root / n), *size] for n, size in found.sizes.items()}
    write_json(record, entries, indent=None)


def _version(path: Path) -> list[int]:
    """Size of a file and time of its last change, which differ if it is replaced."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _size_of(path: Path) -> tuple[int, int] | str:
    """Height and width of a photo, or why it cannot be read."""
    try:
        height, width = read_image(path).shape[:2]
    except (OSError, ValueError) as error:
        return str(error)
    return height, width


def describe_sizes(sizes: Sequence[tuple[int, int]]) -> str:
    """Smallest to largest photo, as text."""
    ordered = sorted(sizes, key=lambda size: size[0] * size[1])
    (low, high) = ordered[0], ordered[-1]
    same = f'{low[1]} x {low[0]} pixels'
    return same if low == high else f'{same} to {high[1]} x {high[0]}'


def photo_paths(run: Run, names: Sequence[str]) -> dict[str, Path]:
    """Files of some photos of a run, by their ids.

    Raises:
        FileNotFoundError: If one is missing.
    """
    folder = run.read()['photos']
    paths, missing = find_images(folder, names, Config.fromfile(run.semples_config).suffixes)
    if missing:
        raise Missing(
            f'{len(missing)} photos of {run.folder} are not in {folder} any more, such as '
            f'{missing[0]}: put them back'
        )
    return dict(zip(names, map(Path, paths), strict=True))
