"""Seed quality of CAMs over all background scores, as an MMSeg metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch.nn.functional as F
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmseg.registry import METRICS
from prettytable import PrettyTable
from torch import Tensor

from ..utils.errors import Refusal
from .prediction_writer import PredictionWriter
from .threshold_curve import ThresholdCurve, default_thresholds


def image_name(sample: dict[str, Any]) -> str:
    """The id of the image a prediction belongs to, or else its path."""
    return str(sample.get('img_id') or sample.get('img_path') or 'unknown')


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
    ids 0..K, 255 ignored). The number of object classes K is that of the data
    set's ``classes`` without the background.

    The metric returns, in percent and at the best threshold of the sweep: ``seed_mIoU``, ``FP``,
    ``FN``, ``precision``, ``recall``; further ``threshold`` (0..1), and ``mIoU`` at
    ``background_score`` if that is given. See ``SegmentationScores`` for which
    classes count in which mean.

    Args:
        thresholds: Background scores to sweep, ascending; 0.40, 0.41, ..., 0.59 by default.
        background_score: A score fixed beforehand to report as ``mIoU``.
        ignore_index: Value of ground truth that is not evaluated.
        output_dir: Folder for the predicted label maps too, see ``PredictionWriter``; this
            is what ``--out`` of MMSeg's ``tools/test.py`` sets.
        keep_results: See MMSeg's ``IoUMetric``; the label maps are always kept.
        kwargs: Of ``mmengine.evaluator.BaseMetric``.

    Raises:
        ValueError: For a sample whose ground truth has another size than its CAMs or values
            outside 0..K and 255 (the image is named), or without CAMs or ground truth.
    """

    default_prefix = ''  # none, without MMEngine's warning

    def __init__(
        self,
        thresholds: Sequence[float] | None = None,
        background_score: float | None = None,
        ignore_index: int = 255,
        output_dir: str | None = None,
        keep_results: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.writer = None if output_dir is None else PredictionWriter(output_dir)
        self.sweep = default_thresholds() if thresholds is None else list(thresholds)
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
        """Count the pixels of a batch.

        One sparse histogram per image is kept, not a running sum: with several processes the
        sampler repeats images to fill the last batch, and MMEngine removes the repetitions from a
        list with one entry per image.
        """
        curve = self._curve()
        if self.writer is not None:
            self.writer.dataset_meta = self.dataset_meta
            self.writer.process(data_batch, data_samples)
        for sample in data_samples:
            name = image_name(sample)
            for key, fix in (
                ('cams', 'evaluate a model whose predictions are CAMs'),
                ('gt_sem_seg', 'add LoadAnnotations to the test pipeline'),
            ):
                if key not in sample:
                    raise Refusal(f'CAMMetric: image {name!r} has no `{key}`; {fix}.')
            cams, target = sample['cams']['data'], sample['gt_sem_seg']['data']
            size = tuple(sample.get('ori_shape') or cams.shape[-2:])
            if cams.shape[-2:] != size:
                cams = enlarged(cams, size)
            self.results.append(curve.histogram(cams, sample['cam_classes'], target, name))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Merge the histograms of all images, log the curve and return the best threshold's."""
        curve = self._curve()
        for where, values in results:
            curve.add(where, values)
        if not curve.counts.any():
            raise Refusal('CAMMetric: no pixel to evaluate, the ground truth is all ignored.')
        scores = curve.scores()
        swept = [curve.index(score) for score in self.sweep]
        best = max(swept, key=lambda index: float(scores.miou[index]))
        metrics = dict(
            seed_mIoU=float(scores.miou[best]),
            threshold=curve.thresholds[best],
            FP=float(scores.fp[best]),
            FN=float(scores.fn[best]),
            precision=float(scores.precision[best]),
            recall=float(scores.recall[best]),
        )
        if self.background_score is not None:
            fixed = curve.index(self.background_score)
            metrics['mIoU'] = float(scores.miou[fixed])

        table = PrettyTable(['threshold', 'mIoU', 'FP', 'FN', 'precision', 'recall'])
        columns = (scores.miou, scores.fp, scores.fn, scores.precision, scores.recall)
        for index, threshold in enumerate(curve.thresholds):
            mark = ' <- best' if index == best else ''
            table.add_row([f'{threshold:.3g}{mark}', *(f'{c[index]:.2f}' for c in columns)])
        classes = PrettyTable(['class', 'IoU'])
        assert self.dataset_meta is not None
        for name, iou in zip(self.dataset_meta['classes'], scores.iou[best], strict=True):
            classes.add_row([name, '-' if np.isnan(iou) else f'{iou:.2f}'])
        MMLogger.get_current_instance().info(
            'CAM seeds by background score. The best one is chosen by pixel labels: '
            f'a diagnostic, not weak supervision.\n{table}\n'
            f'Per class at {curve.thresholds[best]:.3g}:\n{classes}'
        )
        return metrics
