"""Fully connected CRF (Kraehenbuehl and Koltun, arXiv 1210.5644) through pydensecrf.

``crf_on_labels`` refines pseudo masks, ``crf_on_probabilities`` the predictions of a segmentation
model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..utils.errors import MissingPackage, Refusal


@dataclass(frozen=True)
class CRFParameters:
    """Numbers of the two pairwise terms, as pydensecrf names them; those out of range are refused.

    ``gaussian`` is smoothness, ``bilateral`` appearance; ``compat`` the weight of a term, ``sxy``
    and ``srgb`` standard deviations in pixels and in colour, 0..255; ``iterations`` of mean field.
    """

    gaussian_sxy: float
    gaussian_compat: float
    bilateral_sxy: float
    bilateral_srgb: float
    bilateral_compat: float
    iterations: int = 10

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (value >= 0 if name.endswith('compat') else value > 0):
                raise Refusal(f'CRF: `{name}` must be positive (a compat may be 0), got {value}.')


PSEUDO_MASK_CRF = {'voc': CRFParameters(4, 3, 83, 5, 3), 'coco': CRFParameters(3, 3, 50, 5, 10)}
"""Published numbers for pseudo masks (WeakTr)."""

TEST_TIME_CRF = {'voc': CRFParameters(3, 3, 83, 5, 3), 'coco': CRFParameters(1, 3, 67, 3, 4)}
"""Published numbers for the predictions of the retrained Segmenter (WeakTr)."""


def crf_parameters(
    presets: Mapping[str, CRFParameters], name: str, overrides: Mapping[str, Any]
) -> CRFParameters:
    """A named set of parameters (``'voc'`` or ``'coco'``) with some values changed."""
    if name not in presets:
        raise Refusal(f'CRF: no parameter set {name!r}; there are {", ".join(presets)}.')
    known = vars(presets[name])
    if unknown := sorted(overrides.keys() - known):
        raise Refusal(f'CRF: unknown parameters {unknown}; there are {", ".join(known)}.')
    return replace(presets[name], **overrides)


def require_pydensecrf() -> tuple[Any, Any]:
    """Import pydensecrf and return its modules ``densecrf`` and ``utils``."""
    try:
        from pydensecrf import densecrf, utils
    except ImportError as error:
        raise MissingPackage(
            'dense CRF needs pydensecrf, which is compiled while it is installed: '
            'pip install "semples-mmseg[crf]". Where that does not work, as with Python 3.13, make '
            f'pseudo masks with --refine pamr or --refine none. ({error})'
        ) from error
    return densecrf, utils


def _infer(image: np.ndarray, unary: np.ndarray, parameters: CRFParameters) -> np.ndarray:
    """Most probable of n labels, ``(H, W)``, by negative log-probabilities ``(n, H * W)``."""
    height, width = image.shape[:2]
    crf = require_pydensecrf()[0].DenseCRF2D(width, height, len(unary))
    crf.setUnaryEnergy(np.ascontiguousarray(unary))
    crf.addPairwiseGaussian(sxy=parameters.gaussian_sxy, compat=parameters.gaussian_compat)
    crf.addPairwiseBilateral(
        sxy=parameters.bilateral_sxy,
        srgb=parameters.bilateral_srgb,
        rgbim=np.require(image, np.uint8, ['C', 'W']),  # it takes no read-only memory
        compat=parameters.bilateral_compat,
    )
    marginals = np.asarray(crf.inference(parameters.iterations), np.float32)
    return marginals.reshape(len(unary), height, width).argmax(0)


def crf_on_labels(
    image: np.ndarray,
    label: np.ndarray,
    present: Sequence[int],
    parameters: CRFParameters,
    certainty: float = 0.7,
) -> np.ndarray:
    """Refine a label map, int ``(H, W)``, over background and the label ids ``present``, the tags.

    ``image`` is uint8 RGB ``(H, W, 3)``; ``certainty`` the probability of a pixel's given label,
    background too; the others share the rest.
    """
    ids = np.array(sorted({0, *present}), label.dtype)
    if len(ids) == 1:  # only background is possible
        return label.copy()
    utils = require_pydensecrf()[1]
    # `zero_unsure` means that 0 is "no label"; here it is background
    index = np.searchsorted(ids, label)
    unary = utils.unary_from_labels(index, len(ids), certainty, zero_unsure=False)
    return ids[_infer(image, unary, parameters)]


def crf_on_probabilities(
    image: np.ndarray,
    probabilities: np.ndarray,
    parameters: CRFParameters,
    predicted_only: bool = False,
) -> np.ndarray:
    """Labels, uint8 ``(H, W)``, by class probabilities ``(C, H, W)`` that sum to 1, C <= 256.

    ``image`` is uint8 RGB ``(H, W, 3)``. Possible are classes with a probability above zero in some
    pixel, or (``predicted_only``, as the published code does) that are the most probable one there.
    """
    if predicted_only:
        present = np.unique(probabilities.argmax(0))
    else:
        present = np.flatnonzero(probabilities.any(axis=(1, 2)))
    if len(present) == 1:
        return np.full(image.shape[:2], present[0], np.uint8)
    softmax = np.ascontiguousarray(probabilities[present])
    # clipped, so that logarithms are finite
    unary = require_pydensecrf()[1].unary_from_softmax(softmax, clip=1e-5)
    return present[_infer(image, unary, parameters)].astype(np.uint8)
