"""Dense CRF as a refinement of pseudo masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from mmseg.registry import TASK_UTILS

from .base import read_rgb
from .crf import PSEUDO_MASK_CRF, crf_on_labels, crf_parameters, require_pydensecrf


@TASK_UTILS.register_module()
class DenseCRF:
    """Refines the label map by a dense CRF over background and the classes of the image's tags.

    It takes seconds of one CPU core per image, so it runs in worker processes.

    Args:
        preset: Published parameter set: ``'voc'`` or ``'coco'``.
        certainty: Probability that the label of a pixel is right, between 0 and 1.
        **overrides: Other values for some fields of :class:`~.crf.CRFParameters`, e.g.
            ``bilateral_srgb=3``.

    Raises:
        ImportError: If pydensecrf is missing; says how to install it.
        ValueError: If there is no such set or parameter, or a number is out of range.

    Example:
        >>> pseudo_mask_evaluator = dict(
        ...     background_score=0.43, refine=dict(type='DenseCRF', preset='voc'))
    """

    in_workers = True

    def __init__(self, preset: str, certainty: float = 0.7, **overrides: float) -> None:
        require_pydensecrf()
        if not 0 < certainty < 1:
            raise ValueError(f'`certainty` must be between 0 and 1, got {certainty}.')
        self.certainty = certainty
        self.parameters = crf_parameters(PSEUDO_MASK_CRF, preset, overrides)

    @property
    def settings(self) -> dict[str, Any]:
        """All numbers; the name of the set they came from does not matter."""
        return dict(type='DenseCRF', certainty=self.certainty, **asdict(self.parameters))

    def __call__(self, label: np.ndarray, sample: Mapping[str, Any]) -> np.ndarray:
        """See :meth:`.refinement.Refinement.__call__`."""
        present = [int(index) + 1 for index in sample['cam_classes']]
        image = read_rgb(sample, label.shape)
        return crf_on_labels(image, label, present, self.parameters, self.certainty)
