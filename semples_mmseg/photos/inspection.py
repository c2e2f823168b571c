"""Checks of photos and tags before training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ..datasets.checks import Files, check_all
from ..utils.classes import label_name, prompt_name
from ..utils.errors import Missing, Refusal
from ..utils.files import read_lines
from ..utils.label_png import check_num_classes
from ..utils.lists import find_photos, name_some
from .settings import count
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
        counted = Counter(tag for tags in readable for tag in tags)
        return {name: counted[name] for name in self.tagged.classes}

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
                f'{count(len(self.unreadable), "photo")} cannot be read, such as {photo} '
                f'({reason}); '
                'replace them, or leave them out with --skip-unreadable'
            )
        rare = [f'{name} ({number})' for name, number in self.counts.items() if number < FEWEST]
        if rare:
            found.append(
                f'too few photos to learn from: {name_some(rare)}; tag more photos, or leave these '
                'classes out with --skip-rare'
            )
        if self.tagged.untagged:
            untagged = self.tagged.untagged
            are = (
                'is not in the table and is'
                if len(untagged) == 1
                else 'are not in the table and are'
            )
            found.append(
                f'{count(len(untagged), "photo")} {are} not used: '
                f'{name_some(untagged)}; a photo that shows none of the classes is a '
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
        rare = {name for name, number in self.counts.items() if number < FEWEST}
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
    known: Mapping[str, tuple[int, int]] | None = None,
) -> Inspection:
    """Find photos, read their tags and decode every tagged photo.

    Args:
        photos: Folder of the photos.
        tags: Tag table; None for a folder per class.
        classes: Text file of the class names, one a line.
        known: Sizes of photos that need not be decoded again.

    Raises:
        Missing: If there are no photos, no such table or no such file of class names.
        Refusal: If the table is wrong; the message names file and row.
    """
    found = find_photos(photos)
    names = read_class_list(classes) if classes else None
    tagged = match_photos(photos, found, read_tags(tags, found, names))
    sizes = {name: size for name, size in (known or {}).items() if name in tagged.tags}
    new = [name for name in tagged.tags if name not in sizes]
    files = [Files(str(photos / name)) for name in new]
    unreadable: dict[str, str] = {}
    for name, check in zip(new, check_all(files, 'reading photos'), strict=True):
        if check.size is None:
            unreadable[name] = '; '.join(check.problems.values())
        else:
            sizes[name] = check.size
    return Inspection(tagged, sizes, unreadable)


def read_class_list(path: Path) -> list[str]:
    """Read a file of class names, one a line.

    Raises:
        Missing: If there is no such file.
    """
    if not path.is_file():
        raise Missing(f'--classes: there is no file {path}')
    return read_lines(path, '--classes')


def show_inspection(found: Inspection, console: Console) -> None:
    """Print the content of photos and table, and their problems."""
    tagged = found.tagged
    console.print(
        f'{tagged.root}: {count(len(tagged.tags), "tagged photo")} ({tagged.form}), '
        f'{_describe_sizes(list(found.sizes.values()))}, {found.negatives} of no class',
        markup=False,
    )
    table = Table('class', 'in the prompt', 'photos')
    for name, number in found.counts.items():
        table.add_row(label_name(name), f'a photo of {prompt_name(name)}.', str(number))
    console.print(table)
    for finding in found.findings():
        console.print(f'- {finding}', markup=False)


def _describe_sizes(sizes: Sequence[tuple[int, int]]) -> str:
    """Smallest to largest photo, as text."""
    if not sizes:
        return 'none of them readable'
    low, high = (find(sizes, key=lambda size: size[0] * size[1]) for find in (min, max))
    same = f'{low[1]} x {low[0]} pixels'
    return same if low == high else f'{same} to {high[1]} x {high[0]}'
