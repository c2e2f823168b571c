"""Confusion counts of CAM label maps for every background score t at once.

The best class of a pixel does not depend on t; only the comparison of its score with t does. A
histogram over (best class, true class, number of thresholds below the best score) therefore gives
the counts for all t after one pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmseg.registry import METRICS
from prettytable import PrettyTable
from torch import Tensor

from ..utils.errors import Refusal
from ..utils.label_png import check_ids
from .prediction_writer import PredictionWriter, image_id, needed
from .scores import segmentation_scores

SWEEP = tuple(step / 100 for step in range(40, 60))
"""Background scores of the published sweep: 0.40, 0.41, ..., 0.59."""


class ThresholdCurve:
    """Histograms that give exact confusion counts at each of T background scores.

    Scores are compared with thresholds in float32, as in the segmentor's label maps: a pixel is
    foreground when ``float32(score) > float32(t)``, so ties go to the background.

    Args:
        num_objects: Number of object classes K; label ids are 0 (background) and 1..K.
        thresholds: Background scores, strictly ascending (in float32).
        ignore_index: True value of the pixels that are left out.

    Attributes:
        counts: int64 histogram of shape ``(K + 1, K + 1, T + 1)``: [best label, true label,
            number of thresholds below the best score]. Best label 0 stands for an image without
            present classes.
    """

    def __init__(
        self, num_objects: int, thresholds: Sequence[float] = SWEEP, ignore_index: int = 255
    ) -> None:
        self.thresholds = list(thresholds)
        edges = np.asarray(self.thresholds, np.float32)
        if not len(edges) or not np.all(np.diff(edges) > 0):
            raise Refusal(
                '`thresholds` must be a non-empty, strictly ascending list of background scores '
                f'(in float32), got {self.thresholds}.'
            )
        self.num_objects = num_objects
        self.ignore_index = ignore_index
        self._edges = torch.from_numpy(edges)
        labels = num_objects + 1
        self.counts = np.zeros((labels, labels, len(edges) + 1), np.int64)

    def histogram(
        self, cams: Tensor, cam_classes: Tensor, target: Tensor, name: str = ''
    ) -> tuple[np.ndarray, np.ndarray]:
        """Count the pixels of one image, without adding them.

        Args:
            cams: Scores of the n present classes, shape ``(n, H, W)``; n may be 0.
            cam_classes: Their object classes 0..K-1, int64 of shape ``(n,)``.
            target: True label ids 0..K or ``ignore_index``, shape ``(H, W)`` or ``(1, H, W)``.
            name: The image, for the errors: sizes that differ, ids out of range, NaN.

        Returns:
            The positions in the flattened ``counts`` that are not zero, and their values.
        """
        if target.shape[-2:] != cams.shape[-2:] or target.numel() != cams.shape[-2:].numel():
            raise Refusal(
                f'Image {name!r}: the CAMs are {tuple(cams.shape[-2:])} but the ground truth is '
                f'{tuple(target.shape)}; load the mask without resizing.'
            )
        labels, bins = self.num_objects + 1, len(self.thresholds) + 1
        # What is ignored or wrong is counted behind the true labels, labels and bins: a GPU is
        # waited for once.
        shape = (labels + 1, labels + 2, bins + 1)
        target = target.to(cams.device, torch.int64, non_blocking=True).reshape(cams.shape[-2:])
        index = target.masked_fill((target < 0) | (target >= labels), labels + 1)
        index = torch.where(target == self.ignore_index, labels, index) * shape[2]
        if len(cam_classes):
            best, which = cams.float().max(dim=0)
            # number of thresholds strictly below the score, i.e. the t with score > t
            below = torch.bucketize(best, self._edges.to(best.device, non_blocking=True))
            index += below.masked_fill_(~torch.isfinite(best), bins)
            kinds = cam_classes.to(cams.device, non_blocking=True) + 1
            kinds = kinds.masked_fill((kinds < 1) | (kinds >= labels), labels)
            index += kinds[which] * (shape[1] * shape[2])
        index = index.flatten().cpu()
        counts = torch.bincount(index, minlength=math.prod(shape)).view(shape)
        if counts[:, labels + 1].any():
            check_ids(target, labels, f'ground truth of image {name!r}', self.ignore_index)
        if counts[labels].any():
            raise Refusal(
                f'Image {name!r}: CAM classes {cam_classes.tolist()} are not all in '
                f'0..{self.num_objects - 1}; model and data set differ in their classes.'
            )
        if counts[..., bins].any():
            raise Refusal(f'Image {name!r}: its CAMs hold values that are not finite.')
        counts = counts[:labels, :labels, :bins].flatten()
        where = counts.nonzero().flatten()
        return where.numpy(), counts[where].numpy()

    def add(self, where: np.ndarray, values: np.ndarray) -> None:
        """Add what ``histogram`` returned, here or in another process."""
        self.counts.reshape(-1)[where] += values  # a view; no position of an image is twice there

    def update(self, cams: Tensor, cam_classes: Tensor, target: Tensor, name: str = '') -> None:
        """Count one image; arguments as of ``histogram``."""
        self.add(*self.histogram(cams, cam_classes, target, name))

    def index(self, threshold: float) -> int:
        """Position of one of the thresholds, compared as float32."""
        return self._edges.tolist().index(float(np.float32(threshold)))

    def confusion(self) -> np.ndarray:
        """Confusion matrices, int64 (T, K + 1, K + 1): rows true, columns predicted labels."""
        # foreground[best, true, i]: pixels whose score beats threshold i, i.e. with bin > i
        foreground = self.counts[1:, :, ::-1].cumsum(-1)[:, :, -2::-1]
        background = self.counts.sum((0, 2))[:, None] - foreground.sum(0)
        return np.concatenate([background[None], foreground]).transpose(2, 1, 0)

    def scores(self) -> dict[str, np.ndarray]:
        """See ``segmentation_scores``; with a leading axis of T."""
        return segmentation_scores(self.confusion())


def enlarged(cams: Tensor, size: tuple[int, ...]) -> Tensor:
    """CAMs (n, h, w), n may be 0, at another height and width: bilinear."""
    if not len(cams):
        return cams.new_zeros(0, *size)
    return F.interpolate(cams[None], size, mode='bilinear', align_corners=False)[0]


@METRICS.register_module()
class CAMMetric(BaseMetric):
    """mIoU, FP, FN, precision and recall of CAMs, with the background score swept in one pass.

    **The best value of the sweep is a diagnostic.** It chooses the background score by pixel
    labels, which weak supervision does not have; papers report it as "seed mIoU". Give
    ``background_score`` for a figure at a threshold that was fixed beforehand.

    Each sample needs ``cams`` (float (n, h, w), the n present classes; they are enlarged to
    ``ori_shape``, the size of the photo), ``cam_classes`` (int64 (n,)) and ``gt_sem_seg`` (label
    ids 0..K, 255 ignored), where K is the number of the data set's ``classes`` without background.
    Returned are ``seed_mIoU``, ``FP``, ``FN``, ``precision`` and ``recall`` (percent, see
    ``segmentation_scores``) at the best ``threshold`` of the sweep, and ``mIoU`` at
    ``background_score`` if that is given.

    Args:
        thresholds: Background scores to sweep, ascending.
        background_score: A score fixed beforehand to report as ``mIoU``.
        ignore_index: Value of ground truth that is not evaluated.
        output_dir: Folder for the predicted label maps too, see ``PredictionWriter``; this
            is what ``--out`` of MMSeg's ``tools/test.py`` sets.
        keep_results: See MMSeg's ``IoUMetric``; the label maps are always kept.

    Raises:
        ValueError: For thresholds that do not ascend, and for a sample without CAMs or ground
            truth, or whose ground truth has another size or ids than its CAMs.
    """

    default_prefix = ''  # none, without MMEngine's warning

    def __init__(
        self,
        thresholds: Sequence[float] = SWEEP,
        background_score: float | None = None,
        ignore_index: int = 255,
        output_dir: str | None = None,
        keep_results: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.writer = None if output_dir is None else PredictionWriter(output_dir)
        self.sweep = list(thresholds)
        self.background_score = background_score
        self.ignore_index = ignore_index
        ThresholdCurve(1, self.sweep)  # a bad list fails here, not after an epoch

    def _curve(self) -> ThresholdCurve:
        """An empty curve over the swept scores and the fixed one."""
        assert self.dataset_meta is not None, 'the evaluator sets `dataset_meta`'
        fixed = [] if self.background_score is None else [self.background_score]
        # keyed by the compared float32, so that 0.43 and 0.40 + 3 * 0.01 are one threshold
        thresholds = sorted({np.float32(score): score for score in (*fixed, *self.sweep)}.values())
        return ThresholdCurve(len(self.dataset_meta['classes']) - 1, thresholds, self.ignore_index)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count the pixels of a batch: one sparse histogram per image.

        No running sum: MMEngine removes the images that samplers of several processes repeat from a
        list with one entry per image.
        """
        curve = self._curve()
        if self.writer is not None:
            self.writer.dataset_meta = self.dataset_meta
            self.writer.process(data_batch, data_samples)
        for sample in data_samples:
            cams, target = (
                needed(sample, key, 'CAMMetric')['data'] for key in ('cams', 'gt_sem_seg')
            )
            size = tuple(sample.get('ori_shape') or cams.shape[-2:])
            if cams.shape[-2:] != size:
                cams = enlarged(cams, size)
            self.results.append(
                curve.histogram(cams, sample['cam_classes'], target, image_id(sample))
            )

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Merge the histograms of all images, log the curve and return the best threshold's."""
        curve = self._curve()
        for where, values in results:
            curve.add(where, values)
        if not curve.counts.any():
            raise Refusal('CAMMetric: no pixel to evaluate, the ground truth is all ignored.')
        scores = curve.scores()
        by_class, miou = scores.pop('IoU'), scores['mIoU']
        best = max(map(curve.index, self.sweep), key=lambda index: float(miou[index]))
        metrics = {name: float(values[best]) for name, values in scores.items()}
        metrics = dict(seed_mIoU=metrics.pop('mIoU'), threshold=curve.thresholds[best], **metrics)
        if self.background_score is not None:
            metrics['mIoU'] = float(miou[curve.index(self.background_score)])

        table = PrettyTable(['threshold', *scores])
        for index, threshold in enumerate(curve.thresholds):
            mark = ' <- best' if index == best else ''
            row = [f'{values[index]:.2f}' for values in scores.values()]
            table.add_row([f'{threshold:.3g}{mark}', *row])
        classes = PrettyTable(['class', 'IoU'])
        assert self.dataset_meta is not None
        for name, iou in zip(self.dataset_meta['classes'], by_class[best], strict=True):
            classes.add_row([name, '-' if np.isnan(iou) else f'{iou:.2f}'])
        MMLogger.get_current_instance().info(
            'CAM seeds by background score. The best one is chosen by pixel labels: '
            f'a diagnostic, not weak supervision.\n{table}\n'
            f'Per class at {curve.thresholds[best]:.3g}:\n{classes}'
        )
        return metrics
