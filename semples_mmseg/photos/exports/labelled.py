"""Photos with their masks, as every export reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path, PurePosixPath

import numpy as np
from scipy import ndimage

from ...utils.errors import Missing, Refusal
from ...utils.label_png import IGNORED, check_ids, read_class_colours, read_mask
from ...utils.lists import files_below, find_photos, folded, name_some


@dataclass(frozen=True)
class LabelledPhotos:
    """Photos and their masks on disk.

    Attributes:
        photos: Folder of the photos.
        masks: Folder of the masks, 8-bit PNGs of class ids.
        classes: Names of the ids, background first.
        palette: RGB of the ids.
        names: Path of every photo below ``photos`` and of its mask below ``masks``, with slashes.
    """

    photos: Path
    masks: Path
    classes: tuple[str, ...]
    palette: Sequence[Sequence[int]]
    names: tuple[tuple[str, str], ...]

    def read(self, keep_undecided: bool = False) -> Iterator[tuple[str, np.ndarray]]:
        """Path of each photo and its mask, uint8 (H, W).

        Args:
            keep_undecided: Whether undecided pixels stay 255 instead of background.

        Raises:
            Refusal: If a mask holds an id without a class.
        """
        for photo, mask in self.names:
            label = read_mask(self.masks / mask)
            check_ids(label, len(self.classes), self.masks / mask)
            if not keep_undecided:
                label = np.where(label == IGNORED, 0, label).astype(np.uint8)
            yield photo, label

    def flat_names(self) -> dict[str, str]:
        """A file stem for every photo, for formats with a single folder.

        The stem of the photo if it is the only such one, else its path with ``__`` for slashes, and
        with the suffix or a number where that is taken. No two differ only in case.
        """
        paths = [PurePosixPath(photo) for photo, _ in self.names]
        stems = Counter(folded(path.stem) for path in paths)
        trees = Counter(path.with_suffix('') for path in paths)
        flat: dict[str, str] = {}
        taken: set[str] = set()
        for path in paths:
            tree, whole = (str(p).replace('/', '__') for p in (path.with_suffix(''), path))
            choices = [path.stem] if stems[folded(path.stem)] == 1 else []
            choices += [tree] if trees[path.with_suffix('')] == 1 else []
            numbered = (f'{whole}_{number}' for number in count(2))
            name = next(n for n in chain(choices, [whole], numbered) if folded(n) not in taken)
            taken.add(folded(name))
            flat[str(path)] = name
        return flat


def labelled_folder(
    masks: Path, photos: Path, classes: Sequence[str] | None = None
) -> LabelledPhotos:
    """The masks ``<image id>.png`` of a folder and the photos of these ids.

    An id is the path of its photo below ``photos``, with or without the suffix.

    Args:
        masks: Folder of the masks.
        photos: Folder of the photos; those without a mask are left out.
        classes: Class names, background first; by default those of the folder's
            ``classes.json``, with its colours.

    Raises:
        FileNotFoundError: If a folder or the photo of a mask is missing, or there is no mask.
        ValueError: If no class names are known, or two photos match the name of a mask.
    """
    if not masks.is_dir():
        raise Missing(f'there is no folder of masks at {masks}')
    palette: Sequence[Sequence[int]] = ()
    if not classes:
        classes, palette = read_class_colours(masks)
    ids = [name.removesuffix('.png') for name in files_below(masks, '.png')]
    there = _photos_of(photos, set(ids), find_photos(photos))
    if not ids:
        raise Missing(f'{masks} holds no masks (.png)')
    if missing := [f'{name}.png' for name in ids if name not in there]:
        raise Missing(f'{photos} has no photo of the masks {name_some(missing)}')
    names = tuple((there[name], f'{name}.png') for name in ids)
    return LabelledPhotos(photos, masks, tuple(classes), palette, names)


def _photos_of(root: Path, ids: set[str], photos: Sequence[str]) -> dict[str, str]:
    """The photo of each id that has one."""
    there = {photo: photo for photo in photos if photo in ids}
    for photo in photos:
        name = str(PurePosixPath(photo).with_suffix(''))
        if photo in ids or name not in ids:
            continue
        if there.setdefault(name, photo) != photo:
            raise Refusal(
                f'{root}: {there[name]} and {photo} may both be the photo of {name}.png; remove '
                'one of them'
            )
    return there


def regions(label: np.ndarray, split: bool) -> Iterator[tuple[int, np.ndarray]]:
    """Class id and region, bool (H, W), of every class of a mask but the background.

    Args:
        label: Class ids (H, W).
        split: Whether each connected piece is a region of its own.
    """
    for index in np.unique(label[label > 0]).tolist():
        region = label == index
        if not split:
            yield index, region
            continue
        pieces, number = ndimage.label(region, np.ones((3, 3)))
        for piece in range(1, number + 1):
            yield index, pieces == piece
