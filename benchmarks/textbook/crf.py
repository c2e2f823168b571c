"""Dense CRF of a pseudo mask over all classes of the data set, present or not."""

from collections.abc import Sequence

import numpy as np

from semples_mmseg.masks.crf import CRFParameters, require_pydensecrf

IMPOSSIBLE = 100.0
"""Energy of a label that the image does not have: a probability of e^-100."""


def all_class_crf(
    image: np.ndarray,
    label: np.ndarray,
    present: Sequence[int],
    num_classes: int,
    parameters: CRFParameters,
    certainty: float = 0.7,
) -> np.ndarray:
    """Refine a label map with one unary map for every class.

    Args:
        image: uint8 RGB, ``(H, W, 3)``.
        label: Label ids, 0 for background, integer ``(H, W)``.
        present: Label ids of the tags, without the background.
        num_classes: All classes, background included.
        parameters: Of the CRF.
        certainty: Probability of the given label; the other present ones share the rest.

    Returns:
        Label ids of the same shape and type.
    """
    height, width = label.shape
    ids = sorted({0, *present})
    unary = np.full((num_classes, height * width), IMPOSSIBLE, np.float32)
    unary[ids] = -np.log((1 - certainty) / max(len(ids) - 1, 1))
    unary[label.ravel(), np.arange(height * width)] = -np.log(certainty)
    crf = require_pydensecrf()[0].DenseCRF2D(width, height, num_classes)
    crf.setUnaryEnergy(unary)
    crf.addPairwiseGaussian(sxy=parameters.gaussian_sxy, compat=parameters.gaussian_compat)
    crf.addPairwiseBilateral(
        sxy=parameters.bilateral_sxy,
        srgb=parameters.bilateral_srgb,
        rgbim=np.ascontiguousarray(image),
        compat=parameters.bilateral_compat,
    )
    marginals = np.asarray(crf.inference(parameters.iterations))
    return marginals.argmax(0).reshape(height, width).astype(label.dtype)
