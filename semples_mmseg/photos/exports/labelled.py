"""Photos with their masks, as every export reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from scipy import ndimage

from ...utils.errors import Missing
from ...utils.label_png import IGNORED, check_ids, class_colours, read_class_colours, read_mask
from ...utils.lists import files_below, find_photos, folded, image_ids, name_some


@dataclass(frozen=True)
class LabelledPhotos:
    """Photos and their masks on disk, 8-bit PNGs of class ids.

    ``classes`` are the names of the ids, background first; ``names`` the path of every photo below
    ``photos`` and of its mask below ``masks``, with slashes.
    """

    photos: Path
    masks: Path
    classes: tuple[str, ...]
    palette: Sequence[Sequence[int]]
    names: tuple[tuple[str, str], ...]

    def read(self, keep_undecided: bool = False) -> Iterator[tuple[str, np.ndarray]]:
        """Path of each photo and its mask, uint8 (H, W); undecided is background, or 255."""
        for photo, mask in self.names:
            label = read_mask(self.masks / mask)
            check_ids(label, len(self.classes), self.masks / mask)
            if not keep_undecided:
                label[label == IGNORED] = 0
            yield photo, label

    def flat_names(self) -> dict[str, str]:
        """A file stem for every photo, for formats of a single folder; no two differ in case only.

        The stem of the photo if no other has it, else its path with ``__`` for slashes.
        """
        paths = [PurePosixPath(photo) for photo, _ in self.names]
        stems = Counter(folded(path.stem) for path in paths)
        trees = Counter(path.with_suffix('') for path in paths)
        flat: dict[str, str] = {}
        taken: set[str] = set()
        for path in paths:
            tree = path if trees[path.with_suffix('')] > 1 else path.with_suffix('')
            name = path.stem if stems[folded(path.stem)] == 1 else str(tree).replace('/', '__')
            while folded(name) in taken:
                name += '_'
            taken.add(folded(name))
            flat[str(path)] = name
        return flat


def labelled_folder(
    masks: Path, photos: Path, classes: Sequence[str] | None = None
) -> LabelledPhotos:
    """The masks ``<image id>.png`` of a folder and the photos of these ids, which must be there.

    Class names, background first, and colours are by default those of its ``classes.json``.
    """
    if not masks.is_dir():
        raise Missing(f'there is no folder of masks at {masks}')
    palette = class_colours(len(classes or ()))
    if not classes:
        classes, palette = read_class_colours(masks)
    masks_there, found = files_below(masks, '.png'), find_photos(photos)
    if not masks_there:
        raise Missing(f'{masks} holds no masks (.png)')
    by_id = {name: photo for photo, name in image_ids(found).items()}
    by_id |= {photo: photo for photo in found}
    names = {mask: by_id.get(mask.removesuffix('.png'), '') for mask in masks_there}
    if missing := [mask for mask, photo in names.items() if not photo]:
        raise Missing(
            f'{photos} has no photo of the masks {name_some(missing)}, or two that differ only in '
            'the suffix'
        )
    pairs = tuple((photo, mask) for mask, photo in names.items())
    return LabelledPhotos(photos, masks, tuple(classes), palette, pairs)


def regions(label: np.ndarray, split: bool = False) -> Iterator[tuple[int, np.ndarray]]:
    """Id and region, bool (H, W), of every object class of a mask, or of each connected piece."""
    for index in np.unique(label[label > 0]).tolist():
        region = label == index
        pieces, number = ndimage.label(region, np.ones((3, 3))) if split else (region, 1)
        for piece in range(1, number + 1):
            yield index, pieces == piece
