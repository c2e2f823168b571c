"""How well a mask generator predicts the classes of an image, as an MMSeg metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmpretrain.evaluation import AveragePrecision
from mmseg.registry import METRICS

from ..utils.errors import Refusal
from .prediction_writer import image_id, needed


@METRICS.register_module()
class PredictionMetric(BaseMetric):
    """Mean average precision of each image-level prediction (stage 0: token, coarse, fine).

    It needs only image-level labels, so weak supervision may choose a checkpoint by it. Each sample
    needs ``predictions`` (logits (K,) by name, finite) and ``image_labels`` (multi-hot (K,)).
    Returned are two means of MMPretrain's average precision, in percent, for every name:

    - ``mAP_<name>``: images are ranked for each class, and the mean is taken over the classes that
      some image shows (MMPretrain's own mean counts the others as 0).
    - ``image_mAP_<name>``: classes are ranked for each image, and the mean is taken over images
      with a label. The published code (WeakTr, MCTformer) chooses its checkpoint by it.

    Arguments as of ``mmengine.evaluator.BaseMetric``.
    """

    default_prefix = ''  # none, without MMEngine's warning

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep logits and labels of a batch."""
        for sample in data_samples:
            name = image_id(sample)
            found = dict(needed(sample, 'predictions', 'PredictionMetric').items())
            shown = needed(sample, 'image_labels', 'PredictionMetric')
            # in one copy, because each waits for a GPU
            labels, *rows = torch.stack([shown.float(), *found.values()]).cpu()
            logits = dict(zip(found, rows, strict=True))
            for key, values in logits.items():
                if not bool(torch.isfinite(values).all()):
                    raise Refusal(
                        f'PredictionMetric: the prediction {key!r} of image {name!r} holds values '
                        'that are not finite; training has diverged.'
                    )
            self.results.append((logits, labels))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Average precision per class and per image, and their means."""
        labels = torch.stack([row for _, row in results])
        occurs = labels.any(0)
        if not bool(occurs.any()):
            raise Refusal('PredictionMetric: no image has any label, there is nothing to rank.')
        # Monotone functions such as the sigmoid do not change a ranking, so logits are enough.
        logits = {name: torch.stack([row[name] for row, _ in results]) for name in results[0][0]}
        scores = {
            name: AveragePrecision.calculate(values, labels, average=None)
            for name, values in logits.items()
        }
        metrics = {f'mAP_{name}': float(ap[occurs].mean()) for name, ap in scores.items()}
        shown = labels.any(1)
        for name, values in logits.items():
            by_image = AveragePrecision.calculate(values[shown].T, labels[shown].T, average=None)
            metrics[f'image_mAP_{name}'] = float(by_image.mean())
        return metrics
