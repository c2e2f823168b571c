"""Segmentation measures from integer confusion matrices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..utils.errors import Refusal
from ..utils.label_png import check_ids


@dataclass(frozen=True)
class SegmentationScores:
    """Measures in percent for ``...`` confusion matrices over C classes (background included).

    With T pixels of a class in the truth, P in the prediction and TP in both, a class counts in
    ``miou``, ``fp`` and ``fn`` when it occurs at all (T + P - TP > 0), in ``precision`` when it
    is predicted (P > 0) and in ``recall`` when it is in the truth (T > 0). Every measure is the
    plain mean over the classes that count, and NaN if there is none.

    Attributes:
        iou: TP / (T + P - TP) per class, shape ``(..., C)``, NaN for a class that does not occur.
        miou: Mean of ``iou``, shape ``(...)`` like all that follow.
        fp: Mean of (P - TP) / (T + P - TP): over-activation.
        fn: Mean of (T - TP) / (T + P - TP): missed pixels.
        precision: Mean of TP / P.
        recall: Mean of TP / T.
    """

    iou: np.ndarray
    miou: np.ndarray
    fp: np.ndarray
    fn: np.ndarray
    precision: np.ndarray
    recall: np.ndarray


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotient; NaN where the denominator is 0."""
    result = np.full(np.shape(denominator), np.nan)
    np.divide(numerator, denominator, out=result, where=np.greater(denominator, 0))
    return result


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis, in percent, of the entries that are not NaN."""
    counted = ~np.isnan(values)
    return 100.0 * _ratio(np.where(counted, values, 0.0).sum(-1), counted.sum(-1))


def segmentation_scores(confusion: np.ndarray) -> SegmentationScores:
    """Compute all measures from confusion matrices.

    Args:
        confusion: Integer pixel counts, shape ``(..., C, C)``: rows true, columns predicted.
            Columns beyond C count pixels whose prediction is no class: these are missed pixels of
            their true class, but false pixels of no class.

    Returns:
        The measures, with the leading shape of ``confusion``.
    """
    truth, predicted = confusion.sum(-1), confusion.sum(-2)[..., : confusion.shape[-2]]
    hit = np.diagonal(confusion, axis1=-2, axis2=-1)
    union = truth + predicted - hit
    iou = _ratio(hit, union)
    return SegmentationScores(
        iou=100.0 * iou,
        miou=_mean(iou),
        fp=_mean(_ratio(predicted - hit, union)),
        fn=_mean(_ratio(truth - hit, union)),
        precision=_mean(_ratio(hit, predicted)),
        recall=_mean(_ratio(hit, truth)),
    )


def confusion_matrix(
    predicted: Tensor, target: Tensor, num_classes: int, ignore_index: int = 255, name: str = ''
) -> np.ndarray:
    """Count pixels by true and predicted class.

    Args:
        predicted: Label map of class ids 0..C-1, integer, any shape.
        target: True class ids of the same shape.
        num_classes: Number of classes C, background included.
        ignore_index: True value of the pixels that are left out.
        name: The image, for the error messages.

    Returns:
        int64 counts, shape ``(C, C)``: rows true, columns predicted.

    Raises:
        ValueError: If the shapes differ, or ``predicted`` or ``target`` has a value that is no
            class.
    """
    if predicted.shape != target.shape:
        raise Refusal(
            f'Image {name!r}: the prediction is {tuple(predicted.shape)}, the ground truth '
            f'{tuple(target.shape)}; both must have the size of the original image.'
        )
    target = target.to(predicted.device, torch.int64)
    check_ids(target, num_classes, f'ground truth of image {name!r}', ignore_index)
    kept = target != ignore_index
    found = predicted[kept].to(torch.int64)
    wrong = (found < 0) | (found >= num_classes)
    if bool(wrong.any()):  # uncaught it counts as another class, or ends the process on a GPU
        raise Refusal(
            f'Image {name!r}: the prediction has the values '
            f'{torch.unique(found[wrong]).tolist()[:5]}, but there are the classes '
            f'0..{num_classes - 1}; model and data set differ in their classes, or the file is not '
            'the prediction of this data set.'
        )
    index = target[kept] * num_classes + found
    counts = torch.bincount(index, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes).cpu().numpy()
