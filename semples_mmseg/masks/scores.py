"""Segmentation measures from integer confusion matrices, also of a folder of label maps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from mmseg.datasets import PascalVOCDataset
from rich.table import Table

from ..datasets.coco import COCO_CLASSES
from ..utils.checks import check_masks_have_classes
from ..utils.errors import Missing, Refusal
from ..utils.files import read_lines
from ..utils.label_png import IGNORED, check_ids, read_mask
from ..utils.lists import files_below, name_some, read_image_ids
from ..utils.names import check_class_names
from ..utils.parallel import parallel_map, progress


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotient; NaN where the denominator is 0."""
    result = np.full(np.shape(denominator), np.nan)
    np.divide(numerator, denominator, out=result, where=np.greater(denominator, 0))
    return result


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis, in percent, of the entries that are not NaN."""
    counted = ~np.isnan(values)
    return 100.0 * _ratio(np.where(counted, values, 0.0).sum(-1), counted.sum(-1))


def segmentation_scores(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """Measures in percent from confusion matrices over C classes, background included.

    With T pixels of a class in the truth, P in the prediction and TP in both, a class counts in
    the first four when T + P > 0, in ``precision`` when P > 0 and in ``recall`` when T > 0. Every
    mean is the plain one over the classes that count, and NaN if there is none.

    Args:
        confusion: Integer pixel counts, shape ``(..., C, C)``: rows true, columns predicted.
            Columns beyond C count pixels whose prediction is no class.

    Returns:
        ``IoU``: TP / (T + P - TP) by class, shape ``(..., C)``, and of shape ``(...)`` ``mIoU``,
        its mean, ``FP``, the mean of (P - TP) / (T + P - TP), ``FN``, that of
        (T - TP) / (T + P - TP), ``precision``, that of TP / P, and ``recall``, that of TP / T.
    """
    truth, predicted = confusion.sum(-1), confusion.sum(-2)[..., : confusion.shape[-2]]
    hit = np.diagonal(confusion, axis1=-2, axis2=-1)
    union = truth + predicted - hit
    iou = _ratio(hit, union)
    return dict(
        IoU=100.0 * iou,
        mIoU=_mean(iou),
        FP=_mean(_ratio(predicted - hit, union)),
        FN=_mean(_ratio(truth - hit, union)),
        precision=_mean(_ratio(hit, predicted)),
        recall=_mean(_ratio(hit, truth)),
    )


def class_names(classes: str | None, num_classes: int | None) -> list[str]:
    """Names of the label ids, background first, by ``--classes`` or ``--num-classes``."""
    if num_classes is not None and classes is None:
        names = ['background', *(f'class {index}' for index in range(1, num_classes))]
    elif num_classes is not None or classes is None:
        raise Refusal('Give either --classes (voc, coco or a file) or --num-classes.')
    elif classes == 'voc':
        names = list(PascalVOCDataset.METAINFO['classes'])
    elif classes == 'coco':
        names = ['background', *COCO_CLASSES]
    elif Path(classes).is_file():
        names = read_lines(classes, '--classes')
    else:
        raise Missing(f'--classes {classes} is neither voc, coco nor a text file.')
    if not 2 <= len(names) <= IGNORED:
        raise Refusal(f'{len(names)} classes, background included: there must be 2 to {IGNORED}.')
    check_class_names(names, f'--classes {classes}')
    return names


def score_folder(
    masks: str | Path,
    truth: str | Path,
    classes: Sequence[str],
    ids_file: str | Path | None = None,
    num_workers: int | None = None,
) -> dict[str, Any]:
    """Compare every mask ``<id>.png`` with the ground truth of that name.

    Masks are 8-bit PNG with the ids 0..C-1 of ``classes``, background first; 255 is undecided in a
    mask, and not evaluated in ground truth. ``ids_file`` lists the ids to evaluate, all by default.

    Returns:
        ``images``, their number; ``undecided``, the share of evaluated pixels whose prediction is
        255; and the measures of ``segmentation_scores``, None where no pixel counts.
    """
    masks, truth, number = Path(masks), Path(truth), len(classes)
    for folder, what in ((masks, 'masks'), (truth, 'ground truth')):
        if not folder.is_dir():
            raise Missing(f'There is no folder of {what} at {folder}.')
    there = {name.removesuffix('.png') for name in files_below(masks, '.png')}
    if not there:
        raise Missing(f'{masks} holds no PNG file; give the folder with the masks.')
    ids = sorted(there) if ids_file is None else read_image_ids(str(ids_file))
    if missing := [name for name in ids if name not in there]:
        raise Missing(
            f'{masks} has no mask for {name_some(missing)}, listed in {ids_file}; make them, or '
            'list only ids that have one.'
        )
    if missing := [name for name in ids if not (truth / f'{name}.png').is_file()]:
        raise Missing(
            f'{truth} has no ground truth for {name_some(missing)}; name the ids to evaluate with '
            '--ids.'
        )
    check_masks_have_classes([str(truth / f'{name}.png') for name in ids], number)
    confusion = np.zeros((number, number + 1), np.int64)
    compare = partial(compare_masks, masks, truth, number)
    for counts in progress(parallel_map(compare, ids, num_workers), 'masks', len(ids)):
        confusion += counts
    scores = segmentation_scores(confusion)
    by_class = zip(classes, scores.pop('IoU'), strict=True)
    return dict(
        images=len(ids),
        undecided=100.0 * int(confusion[:, -1].sum()) / max(int(confusion.sum()), 1),
        **{name: _number(value) for name, value in scores.items()},
        IoU={name: _number(value) for name, value in by_class},
    )


def scores_table(scores: Mapping[str, Any]) -> Table:
    """The result of ``score_folder`` as a table for the terminal."""
    table = Table(title=f'{scores["images"]} images, in percent')
    table.add_column('')
    table.add_column('IoU', justify='right')
    for name, value in scores['IoU'].items():
        table.add_row(name, _shown(value))
    table.add_section()
    for name in ('mIoU', 'FP', 'FN', 'precision', 'recall', 'undecided'):
        table.add_row(name, _shown(scores[name]))
    return table


def compare_masks(masks: Path, truth: Path, number: int, name: str) -> np.ndarray:
    """Confusion counts of one image, (C, C + 1); the last column counts undecided pixels."""
    files = masks / f'{name}.png', truth / f'{name}.png'
    mask, target = map(read_mask, files)
    if mask.shape != target.shape:
        raise Refusal(
            f'{files[0]}: the mask is {mask.shape}, the ground truth {target.shape}; both must '
            'have the size of the original image.'
        )
    # All values, so that wrong ones are found without another pass.
    pairs = target.astype(np.uint16) << 8 | mask
    counts = np.bincount(pairs.ravel(), minlength=1 << 16).reshape(256, 256)
    known = [*range(number), IGNORED]
    found = counts[known][:, known]
    if found.sum() != mask.size:
        check_ids(mask, number, files[0])
        check_ids(target, number, files[1])
    return found[:number]


def _number(value: np.ndarray | float) -> float | None:
    return None if math.isnan(value) else float(value)


def _shown(value: float | None) -> str:
    return '-' if value is None else f'{value:.2f}'
