"""Checks of photos and tags before training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ..utils.checks import Files, check_all
from ..utils.classes import label_name, prompt_name
from ..utils.errors import Refusal
from ..utils.label_png import check_num_classes
from ..utils.lists import name_some
from ..utils.names import count
from .tags import TaggedPhotos, read_tagged

FEWEST = 2
"""A class with fewer photos cannot be distinguished from the rest of its photo."""
ENOUGH = 10
"""With fewer photos a class is hardly learned; some dozens are better."""
STOPPING = ('missing', 'unreadable', 'rare', 'words', 'weights')
"""Kinds of findings that ``fit`` does not start with."""


@dataclass(frozen=True)
class Inspection:
    """The tagged photos, the (height, width) of each that can be read, why the others cannot."""

    tagged: TaggedPhotos
    sizes: Mapping[str, tuple[int, int]]
    unreadable: Mapping[str, str]

    @property
    def counts(self) -> dict[str, int]:
        """Readable photos of each class."""
        counted = Counter(tag for photo in self.sizes for tag in self.tagged.tags[photo])
        return {name: counted[name] for name in self.tagged.classes}

    @property
    def negatives(self) -> int:
        """Readable photos that show none of the classes."""
        return sum(not self.tagged.tags[photo] for photo in self.sizes)

    def findings(self) -> dict[str, str]:
        """What is wrong or doubtful, each with its fix, by its kind."""
        found, untagged = {}, self.tagged.untagged
        if self.tagged.missing:
            found['missing'] = self.tagged.missing
        if self.unreadable:
            photo, reason = next(iter(self.unreadable.items()))
            found['unreadable'] = (
                f'{count(len(self.unreadable), "photo")} cannot be read, such as {photo} '
                f'({reason}); replace them, or leave them out with --skip-unreadable'
            )
        rare = [f'{name} ({number})' for name, number in self.counts.items() if number < FEWEST]
        if rare:
            found['rare'] = (
                f'too few photos to learn from: {name_some(rare)}; tag more photos, or leave these '
                'classes out with --skip-rare'
            )
        if few := [f'{name} ({n})' for name, n in self.counts.items() if FEWEST <= n < ENOUGH]:
            found['few'] = (
                f'few photos, so that masks will be poor: {name_some(few)}; {ENOUGH} photos of a '
                'class are the least to try, some dozens are better'
            )
        words = (prompt_name(name) for name in self.tagged.classes)
        if numbers := [word for word in words if not any(map(str.isalpha, word))]:
            found['numbers'] = (
                f'classes that are no words: {name_some(numbers)}; CLIP knows classes by their '
                'names, so tag with words such as cow'
            )
        if untagged:
            found['untagged'] = (
                f'not tagged and not used: {count(len(untagged), "photo")} '
                f'({name_some(untagged)}); a photo that shows none of the classes is a row with '
                'an empty tag'
            )
        if len(self.tagged.classes) == 1 and not self.negatives:
            found['always'] = (
                f'every photo shows {self.tagged.classes[0]}, so the rest cannot be learned; '
                'add photos without it, with an empty tag'
            )
        return found

    def usable(
        self, skip_unreadable: bool, skip_rare: bool, skip_missing: bool = False
    ) -> TaggedPhotos:
        """Photos and tags to train on, without what is skipped; other wrong ones are refused."""
        root, found = self.tagged.root, self.findings()
        skips = dict(missing=skip_missing, unreadable=skip_unreadable, rare=skip_rare)
        for kind, skip in skips.items():
            if kind in found and not skip:
                raise Refusal(f'{root}: {found[kind]}')
        classes = tuple(name for name, number in self.counts.items() if number >= FEWEST)
        if not classes:
            raise Refusal(f'{root}: no class has {FEWEST} photos that can be read')
        check_num_classes(len(classes) + 1, str(root))
        tags = {
            photo: tuple(tag for tag in own if tag in classes)
            for photo, own in self.tagged.tags.items()
            if photo in self.sizes
        }
        return replace(self.tagged, classes=classes, tags=tags)


def inspect_photos(
    photos: Path,
    tags: Path | None,
    classes: Path | None = None,
    known: Mapping[str, tuple[int, int]] | None = None,
    renames: Iterable[tuple[str, str]] = (),
) -> Inspection:
    """``read_tagged`` of photos and their tags, and decode every photo without a ``known`` size."""
    tagged = read_tagged(photos, tags, classes, renames)
    sizes = {name: size for name, size in (known or {}).items() if name in tagged.tags}
    new = [name for name in tagged.tags if name not in sizes]
    checked = check_all([Files(str(photos / name)) for name in new], 'reading photos')
    unreadable: dict[str, str] = {}
    for name, check in zip(new, checked, strict=True):
        if check.size is None:
            unreadable[name] = '; '.join(check.problems.values())
        else:
            sizes[name] = check.size
    return Inspection(tagged, sizes, unreadable)


def show_inspection(found: Inspection, console: Console) -> None:
    """Print the content of photos and table, and their problems."""
    tagged, shown = found.tagged, 'none of them readable'
    if found.sizes:
        ordered = sorted(found.sizes.values(), key=lambda size: size[0] * size[1])
        (low, width), (high, last) = ordered[0], ordered[-1]
        shown = f'{width} x {low} pixels'
        if ordered[0] != ordered[-1]:
            shown += f' to {last} x {high}'
    console.print(
        f'{tagged.root}: {count(len(tagged.tags), "tagged photo")} ({tagged.form}), {shown}, '
        f'{found.negatives} of no class',
    )
    for note in tagged.notes:
        console.print(f'note: {note}')
    table = Table('class', 'in the prompt', 'photos')
    for name, number in found.counts.items():
        table.add_row(label_name(name), f'a photo of {prompt_name(name)}.', str(number))
    console.print(table)
    for finding in found.findings().values():
        console.print(f'- {finding}')
