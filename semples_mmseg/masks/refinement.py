"""Refinement of label maps by the colours of the photo: the interface, and the dense CRF."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from mmengine.evaluator import Evaluator
from mmseg.registry import EVALUATOR, TASK_UTILS
from torch import Tensor

from ..models.soft_masks import label_map
from ..utils.errors import Refusal
from ..utils.images import read_image
from ..utils.parallel import WorkerPool
from ..utils.sizes import resize_bicubic, resized_label
from .crf import (
    PSEUDO_MASK_CRF,
    TEST_TIME_CRF,
    CRFParameters,
    crf_on_labels,
    crf_on_probabilities,
    crf_parameters,
    require_pydensecrf,
)
from .prediction_writer import needed


class Refinement(Protocol):
    """Turns the label map of the CAMs of one image into its pseudo mask.

    Components are registered in MMSeg's ``TASK_UTILS``, so that a config names them by ``type``.

    Attributes:
        settings: All numbers the result depends on, as JSON; recorded with the masks.
        in_workers: Whether it runs in worker processes. It is then pickled, and ``sample`` has
            only its first four keys.
    """

    settings: Any
    in_workers: bool

    def inputs(self, photos: Mapping[str, Path]) -> Mapping[str, Path]:
        """Files that it reads for photos (by image id), by name; it may lack this method.

        They are recorded with the masks and compared. Files that do not fit are refused here,
        before work starts.
        """

    def __call__(self, label: np.ndarray, sample: Mapping[str, Any]) -> np.ndarray:
        """Refine one label map.

        Args:
            label: Label ids 0..K, uint8 of shape ``(H, W)``, the size of the CAMs.
            sample: The prediction: ``img_id``, ``img_path``, ``ori_shape`` (height and width of
                the photo, which may be larger than its CAMs), ``cam_classes`` (0-based object
                classes of the tags, integers ``(n,)``); without workers also ``cams``
                (``sample['cams']['data']``, float ``(n, H, W)`` in [0, 1]), ``background_score``
                and all other fields.

        Returns:
            Label ids of the same shape, uint8.
        """


def read_rgb(sample: Mapping[str, Any], shape: tuple[int, ...]) -> np.ndarray:
    """The photo of a prediction at the size (H, W) of its scores, uint8 RGB ``(H, W, 3)``.

    Refused are damaged files, and those of another size than ``ori_shape``.
    """
    path = sample['img_path']
    image = read_image(path)
    size = tuple(sample.get('ori_shape') or shape)
    if image.shape[:2] != size:
        raise Refusal(
            f'image {path} is {image.shape[:2]}, its prediction is one of {size} (height, width); '
            'was the file changed?'
        )
    return resize_bicubic(image, (shape[0], shape[1]))


class CAMRefinement:
    """Refines the CAMs of the present classes, on their device, before pixels are labelled."""

    in_workers = False

    def refine(self, image: Tensor, cams: Tensor) -> Tensor:
        """New CAMs (n, H, W) from those of a photo and the photo, uint8 RGB (H, W, 3)."""
        raise NotImplementedError

    def __call__(self, label: np.ndarray, sample: Mapping[str, Any]) -> np.ndarray:
        """See ``Refinement.__call__``."""
        cams = sample['cams']['data'].float()
        if len(cams) == 0:
            return label
        pixels = torch.from_numpy(read_rgb(sample, label.shape))
        image = pixels.to(cams.device, non_blocking=True)
        best = label_map(
            self.refine(image, cams), sample['cam_classes'], sample['background_score']
        )
        return best.to(torch.uint8).cpu().numpy()


@TASK_UTILS.register_module()
class DenseCRF:
    """Refines the label map by a dense CRF over background and the classes of the image's tags.

    It takes seconds of one CPU core per image, so it runs in worker processes. It needs pydensecrf.

    Args:
        preset: Published parameter set: ``'voc'`` or ``'coco'``.
        certainty: Probability that the label of a pixel is right, between 0 and 1.
        **overrides: Other values for some fields of ``CRFParameters``.
    """

    in_workers = True

    def __init__(self, preset: str, certainty: float = 0.7, **overrides: float) -> None:
        require_pydensecrf()
        if not 0 < certainty < 1:
            raise Refusal(f'`certainty` must be between 0 and 1, got {certainty}.')
        self.certainty = certainty
        self.parameters = crf_parameters(PSEUDO_MASK_CRF, preset, overrides)

    @property
    def settings(self) -> dict[str, Any]:
        """All numbers; the name of the set they came from does not matter."""
        return dict(type='DenseCRF', certainty=self.certainty, **asdict(self.parameters))

    def __call__(self, label: np.ndarray, sample: Mapping[str, Any]) -> np.ndarray:
        """See ``Refinement.__call__``."""
        present = [int(index) + 1 for index in sample['cam_classes']]
        image = read_rgb(sample, label.shape)
        return crf_on_labels(image, label, present, self.parameters, self.certainty)


@EVALUATOR.register_module()
class CRFEvaluator(Evaluator):
    """Refines each predicted label map by a dense CRF before metrics are computed.

    The unary term is the softmax of the sample's ``seg_logits`` (mean probabilities under
    ``ProbabilityTTA``), the colours are those of the image file. Logits that are smaller than
    their photo are refined at their own size, and the labels are enlarged. It needs pydensecrf.

    Args:
        preset: Published parameter set: ``'voc'`` or ``'coco'``.
        num_workers: Worker processes; 0 computes in this process.
        predicted_only: See ``crf_on_probabilities``.
        **overrides: Other values for some fields of ``CRFParameters``.
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
        """Start the CRF of a batch and pass finished images, of earlier batches, to the metrics."""
        if self._pool is None:
            self._pool = WorkerPool(refine_file, self.num_workers)
        for data_sample in data_samples:
            sample = data_sample if isinstance(data_sample, dict) else data_sample.to_dict()
            logits = needed(sample, 'seg_logits', 'CRFEvaluator')['data']
            del sample['seg_logits']
            probabilities = logits.float().softmax(0).cpu().numpy()
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
    """``crf_on_probabilities`` of (C, h, w) and the photo, see ``read_rgb``; labels of its size."""
    shape = probabilities.shape[1:]
    pixels = read_rgb(sample, shape)
    label = crf_on_probabilities(pixels, probabilities, parameters, predicted_only)
    return resized_label(label, tuple(sample.get('ori_shape') or shape))
