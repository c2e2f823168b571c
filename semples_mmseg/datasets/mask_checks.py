"""Checks of masks against the classes of a data set and the image-level labels."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..utils.errors import Refusal
from ..utils.label_png import IGNORED, check_ids, read_mask

_SAMPLE = 16
_FEWEST = 3


def check_sample_ids(data: Any, files: str, num_classes: int, ignore_index: int = IGNORED) -> None:
    """Refuse a packed image whose mask holds an id that is no class.

    Args:
        data: What the pipeline returned; without masks nothing is checked.
        files: The files, for the error message.
        num_classes: Number of classes, background included.
        ignore_index: The id of pixels that do not count.

    Raises:
        ValueError: If there is such an id.
    """
    samples = data.get('data_samples', ()) if isinstance(data, Mapping) else ()
    # test-time augmentation gives a list
    for sample in samples if isinstance(samples, (list, tuple)) else [samples]:
        if 'gt_sem_seg' in sample:
            check_ids(sample.gt_sem_seg.data.numpy(), num_classes, files, ignore_index)


def check_masks_have_classes(paths: Sequence[str], num_classes: int) -> None:
    """Refuse masks from which a model can learn only background.

    Masks of 0 and 255 are what annotation tools write for one class, but 255 means "ignored".
    Checks a sample of the masks, or all of them if the sample holds only 0.

    Args:
        paths: Masks.
        num_classes: Number of classes, background included.

    Raises:
        ValueError: If no mask of the sample has the id of a class and some have 255, if all masks
            are 0, or if none of the sample can be read.
    """
    found = dict(_sample_ids(paths))
    every = set().union(*found.values())
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
    paths: Sequence[str], labels: Sequence[np.ndarray], classes: Sequence[str]
) -> None:
    """Refuse masks whose ids do not agree with the image-level labels.

    Checks a sample of the labelled images and accepts a few that differ.

    Args:
        paths: Masks.
        labels: Multi-hot vectors (K,) of the same images.
        classes: The K object classes.

    Raises:
        ValueError: If no mask of the sample shows a class of its labels, if a class has the id of
            another one, or if none of the masks can be read.
    """
    wanted = {
        path: {int(k) + 1 for k in np.flatnonzero(label)}
        for path, label in zip(paths, labels, strict=True)
        if label.any()
    }
    found = dict(_sample_ids(list(wanted)))
    advice = (
        'Masks hold 0 for background, 1, 2, ... in the order of the classes, and 255 for ignored '
        'pixels (255 is not an object: write its id)'
    )
    if len(found) >= _FEWEST and not any(ids & wanted[path] for path, ids in found.items()):
        path, ids = next(iter(found.items()))
        raise Refusal(
            f'masks and image-level labels name different classes in all of {len(found)} images, '
            f'e.g. {path} has the values {sorted(ids)}, its labels are the ids '
            f'{sorted(wanted[path])}. {advice}'
        )
    swapped = swapped_classes([wanted[path] for path in found], list(found.values()), classes)
    if swapped:
        raise Refusal(
            f'masks such as {next(iter(found))} count the classes in another order: '
            f'{"; ".join(swapped.values())}. {advice}'
        )


def swapped_classes(
    labels: Sequence[set[int]], masks: Sequence[set[int]], classes: Sequence[str]
) -> dict[str, str]:
    """Find classes whose images have the mask id of another class.

    Args:
        labels: Ids 1..K that the labels of each image name.
        masks: Ids that the mask of each image holds.
        classes: The K object classes.

    Returns:
        A message for each such class. A class counts if at least five images have its label, and
        their overlap (intersection over union of image sets) is at least 0.9 with the other id and
        at most 0.6 with its own.
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


def _sample_ids(paths: Sequence[str]) -> Iterator[tuple[str, set[int]]]:
    """Yield the ids of evenly spaced masks, without damaged ones; an error if all are damaged."""
    step = max(1, len(paths) // _SAMPLE)
    errors, readable = [], False
    for path in paths[::step]:
        try:
            ids = {*np.unique(read_mask(path)).tolist()}
        except (OSError, ValueError) as error:
            errors.append(error)
            continue
        readable = True
        yield path, ids
    if errors and not readable:
        raise errors[0]
