"""A dense CRF between a model's predictions and whatever metrics look at them."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import Evaluator
from mmseg.registry import EVALUATOR

from ..refinement.crf import (
    TEST_TIME_CRF,
    CRFParameters,
    crf_on_probabilities,
    crf_parameters,
    require_pydensecrf,
)
from ..utils.images import read_image
from .cam_metric import image_name


@EVALUATOR.register_module()
class CRFEvaluator(Evaluator):
    """Replaces each predicted label map by that of a dense CRF before the metrics see it.

    The unary term is the softmax of the sample's ``seg_logits`` (mean probabilities under
    :class:`ProbabilityTTA`), the colours are those of the image file. Images are worked on in
    other processes while the model goes on; samples reach the metrics in their order.

    Args:
        metrics: The metrics, as in any evaluator.
        num_workers: Processes; 0 works in this one.
        preset: Published parameter set: ``'voc'`` or ``'coco'``.
        **overrides: Other values for some fields of :class:`.CRFParameters`.

    Raises:
        ImportError: If pydensecrf2 is not installed.
        ValueError: If a sample has no ``seg_logits``, or its image another size.
    """

    def __init__(
        self, metrics: Any, preset: str = 'voc', num_workers: int = 8, **overrides: float
    ) -> None:
        super().__init__(metrics)
        require_pydensecrf()
        self.parameters = crf_parameters(TEST_TIME_CRF, preset, overrides)
        self.num_workers = num_workers
        self._pool: ProcessPoolExecutor | None = None
        self._pending: deque[tuple[dict, Callable[[], np.ndarray]]] = deque()

    def process(self, data_samples: Sequence[Any], data_batch: Any = None) -> None:
        """Start the CRF of a batch and hand finished images to the metrics.

        Args:
            data_samples: Predictions.
            data_batch: Not passed on, as it need not be the batch of the images that are finished.
        """
        for data_sample in data_samples:
            sample = data_sample if isinstance(data_sample, dict) else data_sample.to_dict()
            if 'seg_logits' not in sample:
                raise ValueError(
                    f'CRF: image {image_name(sample)!r} has no `seg_logits`; the CRF works on '
                    "a segmentation model's probabilities"
                )
            probabilities = sample.pop('seg_logits')['data'].float().softmax(0).cpu().numpy()
            self._pending.append((sample, self._start(sample['img_path'], probabilities)))
            # each waiting image holds its probabilities
            self._hand_over(leave=2 * self.num_workers)

    def evaluate(self, size: int) -> dict:
        """Wait for all images, then evaluate as usual."""
        self._hand_over(leave=0)
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        return super().evaluate(size)

    def _start(self, path: str, probabilities: np.ndarray) -> Callable[[], np.ndarray]:
        if not self.num_workers:
            label = refine_file(path, probabilities, self.parameters)
            return lambda: label
        if self._pool is None:
            # a fork starts at once, but that of a process that uses a GPU is not safe
            known = multiprocessing.get_all_start_methods()
            method = 'fork' if 'fork' in known and not torch.cuda.is_initialized() else 'spawn'
            context = multiprocessing.get_context(method)
            self._pool = ProcessPoolExecutor(self.num_workers, mp_context=context)
        return self._pool.submit(refine_file, path, probabilities, self.parameters).result

    def _hand_over(self, leave: int) -> None:
        while len(self._pending) > leave:
            sample, result = self._pending.popleft()
            sample['pred_sem_seg'] = dict(data=torch.from_numpy(result()).long()[None])
            super().process([sample])


def refine_file(path: str, probabilities: np.ndarray, parameters: CRFParameters) -> np.ndarray:
    """:func:`crf_on_probabilities` with the image of a file.

    Args:
        path: The image.
        probabilities: (C, H, W) in [0, 1].
        parameters: Of the CRF.

    Returns:
        uint8 (H, W).

    Raises:
        ValueError: If the image cannot be read or has another size than the probabilities.
    """
    pixels = read_image(path)
    if pixels.shape[:2] != probabilities.shape[1:]:
        raise ValueError(
            f'CRF: image {path} is {pixels.shape[:2]}, its probabilities {probabilities.shape[1:]}'
        )
    return crf_on_probabilities(pixels, probabilities, parameters)
