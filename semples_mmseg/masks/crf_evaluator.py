"""A dense CRF between a model's predictions and the metrics."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import Evaluator
from mmseg.registry import EVALUATOR

from ..utils.errors import Refusal
from ..utils.parallel import WorkerPool
from ..utils.sizes import resized_label
from .cam_metric import image_name
from .crf import (
    TEST_TIME_CRF,
    CRFParameters,
    crf_on_probabilities,
    crf_parameters,
    require_pydensecrf,
)
from .refinement import read_rgb


@EVALUATOR.register_module()
class CRFEvaluator(Evaluator):
    """Refines each predicted label map by a dense CRF before metrics are computed.

    The unary term is the softmax of the sample's ``seg_logits`` (mean probabilities under
    ``ProbabilityTTA``), the colours are those of the image file. Logits that are smaller than
    their photo are refined at their own size, and the labels are enlarged. The CRF runs in worker
    processes while the model predicts; samples reach the metrics in their order.

    Args:
        metrics: The metrics, as in any evaluator.
        preset: Published parameter set: ``'voc'`` or ``'coco'``.
        num_workers: Worker processes; 0 computes in this process.
        predicted_only: See ``crf_on_probabilities``.
        **overrides: Other values for some fields of ``CRFParameters``.

    Raises:
        ImportError: If pydensecrf is not installed.
        ValueError: If a sample has no ``seg_logits``, or its image another size.
    """

    def __init__(
        self,
        metrics: Any,
        preset: str = 'voc',
        num_workers: int = 8,
        predicted_only: bool = False,
        **overrides: float,
    ) -> None:
        super().__init__(metrics)
        require_pydensecrf()
        self.parameters = crf_parameters(TEST_TIME_CRF, preset, overrides)
        self.num_workers = num_workers
        self.predicted_only = predicted_only
        self._pool: WorkerPool | None = None
        self._pending: deque[dict] = deque()

    def process(self, data_samples: Sequence[Any], data_batch: Any = None) -> None:
        """Start the CRF of a batch and pass finished images to the metrics.

        Args:
            data_samples: Predictions.
            data_batch: Not passed on, as the finished images may be of another batch.
        """
        if self._pool is None:
            self._pool = WorkerPool(refine_file, self.num_workers)
        for data_sample in data_samples:
            sample = data_sample if isinstance(data_sample, dict) else data_sample.to_dict()
            if 'seg_logits' not in sample:
                raise Refusal(
                    f'CRF: image {image_name(sample)!r} has no `seg_logits`; the CRF works on '
                    "a segmentation model's probabilities"
                )
            probabilities = sample.pop('seg_logits')['data'].float().softmax(0).cpu().numpy()
            self._pending.append(sample)
            known = {key: sample.get(key) for key in ('img_id', 'img_path', 'ori_shape')}
            task = known, probabilities, self.parameters, self.predicted_only
            self._hand_over(self._pool.put(*task))

    def evaluate(self, size: int) -> dict:
        """Wait for all images, then evaluate as usual."""
        if self._pool is not None:
            self._hand_over(self._pool.wait())
            self._pool.close()
            self._pool = None
        return super().evaluate(size)

    def _hand_over(self, labels: Sequence[np.ndarray]) -> None:
        """Pass the oldest waiting samples to the metrics, with their refined labels."""
        for label in labels:
            sample = self._pending.popleft()
            sample['pred_sem_seg'] = dict(data=torch.from_numpy(label).long()[None])
            super().process([sample])


def refine_file(
    sample: Mapping[str, Any],
    probabilities: np.ndarray,
    parameters: CRFParameters,
    predicted_only: bool,
) -> np.ndarray:
    """``crf_on_probabilities`` with the image of a file.

    Args:
        sample: The prediction, see ``refinement.read_rgb``.
        probabilities: (C, h, w) in [0, 1].
        parameters: Parameters of the CRF.
        predicted_only: See ``crf_on_probabilities``.

    Returns:
        uint8 (H, W), the size of the image.

    Raises:
        ValueError: If the image cannot be read or has another size than its prediction.
    """
    shape = probabilities.shape[1:]
    pixels = read_rgb(sample, shape)
    label = crf_on_probabilities(pixels, probabilities, parameters, predicted_only)
    return resized_label(label, tuple(sample.get('ori_shape') or shape))
