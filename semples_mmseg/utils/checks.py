"""The one checker of photos and masks: of one, of many, and against classes and labels."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .errors import Refusal
from .images import read_image
from .label_png import IGNORED, read_mask
from .parallel import parallel_map, progress

BLACK = 15
"""A photo without a brighter value (of 255) is almost black."""
_SAMPLE = 16
_FEWEST = 3
_ADVICE = (
    'Masks hold 0 for background, 1, 2, ... in the order of the classes, and 255 for ignored '
    'pixels (255 is not an object: write its id)'
)


class Files(NamedTuple):
    """An image and its mask; None for one that is not there or not to be checked."""

    image: str | None
    mask: str | None = None
    num_classes: int = 0


@dataclass(frozen=True)
class FileCheck:
    """Problems by kind, size (height, width), almost ``black``, all ids; None where unreadable."""

    problems: Mapping[str, str]
    size: tuple[int, int] | None = None
    black: bool = False
    ids: frozenset[int] | None = None


def check_all(
    files: Sequence[Files], description: str, workers: int | None = None
) -> Iterator[FileCheck]:
    """``check_files`` for many, in order, in worker processes, with a line of progress."""
    return progress(parallel_map(check_files, files, workers), description, len(files))


def check_files(files: Files) -> FileCheck:
    """Decode an image and its mask completely."""
    problems: dict[str, str] = {}
    size, ids, black = None, None, False
    if files.image is not None:
        try:
            pixels = read_image(files.image)
            size, black = pixels.shape[:2], bool(pixels.max() <= BLACK)
        except (ValueError, OSError) as error:
            problems['images unreadable'] = str(error)
    if files.mask is not None:
        try:
            label = read_mask(files.mask)
        except (ValueError, OSError) as error:
            problems['masks unreadable'] = str(error)
        else:
            ids = ids_of(label)
            stray = sorted(k for k in ids if files.num_classes < k != IGNORED)
            if stray:
                problems['mask values out of range'] = (
                    f'{files.mask}: {stray}; expected 0..{files.num_classes} and {IGNORED}'
                )
            if size is not None and label.shape != size:
                problems['sizes of image and mask differ'] = difference(label.shape, size)
    return FileCheck(problems, size, black, ids)


def ids_of(label: np.ndarray) -> frozenset[int]:
    """All values of a label map, uint8 ``(H, W)``."""
    return frozenset(np.flatnonzero(np.bincount(label.ravel(), minlength=256)).tolist())


def difference(mask: tuple[int, ...], image: tuple[int, ...]) -> str:
    """What is wrong with a mask whose height and width differ from its image."""
    advice = 'it is the mask of another image, or one of the two was resized'
    if mask == image[::-1]:
        advice = (
            'if the EXIF orientation of the image is not upright, it was rotated: rotate the mask '
            'too, or remove the orientation from the image'
        )
    return f'image {image[1]}x{image[0]}, mask {mask[1]}x{mask[0]}; {advice}'


def renamed_ids(
    reduce_zero_label: bool | None, label_map: Mapping[int, int] | None
) -> np.ndarray | None:
    """MMSeg's two options as the id for each value of a mask, uint8 (256,); None for neither."""
    if not reduce_zero_label and not label_map:
        return None
    ids = np.arange(256)
    if reduce_zero_label:
        ids = np.where((ids == 0) | (ids == IGNORED), IGNORED, ids - 1)
    renamed = ids.copy()
    for old, new in (label_map or {}).items():
        renamed[ids == old] = new
    return renamed.astype(np.uint8)


def check_masks_have_classes(
    paths: Sequence[str], num_classes: int, renamed: np.ndarray | None = None
) -> None:
    """Refuse masks from which only background can be learned: a sample, or all if it is only 0."""
    found = dict(_sample(paths, renamed))
    every = frozenset().union(*found.values())
    if len(found) >= _FEWEST and IGNORED in every and not every & {*range(1, num_classes)}:
        ids = '1' if num_classes == 2 else f'1..{num_classes - 1}'
        raise Refusal(
            f'masks hold no class: {len(found)} of them, e.g. {next(iter(found))}, have only the '
            f'values {sorted(every)}. 255 means ignored here; write {ids} for the pixels of objects'
        )
    if len(found) >= _FEWEST and every == {0} and not any(read_mask(path).any() for path in paths):
        raise Refusal(
            f'all {len(paths)} masks, e.g. {paths[0]}, are background alone (0): nothing can be '
            'learned from them. Pseudo masks need a lower --background-score'
        )


def check_masks_show_labels(
    paths: Sequence[str],
    labels: Sequence[np.ndarray],
    classes: Sequence[str],
    renamed: np.ndarray | None = None,
) -> None:
    """Refuse masks, by a sample, that do not agree with the multi-hot labels (K,); a few may."""
    wanted = {
        path: {int(k) + 1 for k in np.flatnonzero(label)}
        for path, label in zip(paths, labels, strict=True)
        if label.any()
    }
    found = dict(_sample(list(wanted), renamed))
    if len(found) >= _FEWEST and not any(ids & wanted[path] for path, ids in found.items()):
        path, ids = next(iter(found.items()))
        raise Refusal(
            f'masks and image-level labels name different classes in all of {len(found)} images, '
            f'e.g. {path} has the values {sorted(ids)}, its labels are the ids '
            f'{sorted(wanted[path])}. {_ADVICE}'
        )
    swapped = swapped_classes([wanted[path] for path in found], list(found.values()), classes)
    if swapped:
        raise Refusal(
            f'masks such as {next(iter(found))} count the classes in another order: '
            f'{"; ".join(swapped.values())}. {_ADVICE}'
        )


def swapped_classes(
    labels: Sequence[set[int]], masks: Sequence[frozenset[int]], classes: Sequence[str]
) -> dict[str, str]:
    """Find classes whose images have the mask id of another class, and a message for each.

    Labels and masks are the ids 1..K of each image. A class counts if five images or more have its
    label, and their intersection over union with the other id is at least 0.9, with its own 0.6 at
    most.
    """
    numbers = range(1, len(classes) + 1)
    tagged = {k: {n for n, ids in enumerate(labels) if k in ids} for k in numbers}
    shown = {k: {n for n, ids in enumerate(masks) if k in ids} for k in numbers}

    def agreement(k: int, other: int) -> float:
        return len(tagged[k] & shown[other]) / max(1, len(tagged[k] | shown[other]))

    found = {}
    for k in numbers:
        other = max(numbers, key=lambda other: agreement(k, other))
        if len(tagged[k]) >= 5 and agreement(k, other) >= 0.9 and agreement(k, k) <= 0.6:
            found[classes[k - 1]] = (
                f'images labelled {classes[k - 1]!r} (id {k}) have the id {other} of '
                f'{classes[other - 1]!r}'
            )
    return found


def _sample(
    paths: Sequence[str], renamed: np.ndarray | None
) -> Iterator[tuple[str, frozenset[int]]]:
    """The ids of evenly spaced masks, without damaged ones; an error if all are damaged."""
    found = [
        (path, check_files(Files(None, path))) for path in paths[:: max(1, len(paths) // _SAMPLE)]
    ]
    good = [(path, check.ids) for path, check in found if check.ids is not None]
    if found and not good:
        raise Refusal(found[0][1].problems['masks unreadable'])
    for path, ids in good:
        yield path, ids if renamed is None else frozenset(renamed[sorted(ids)].tolist())
