"""Dense CRF over the class probabilities of one image (arXiv 1210.5644)."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True)
class CRFSettings:
    """Pairwise potentials of the dense CRF; the defaults are those for VOC at test time.

    Args:
        gaussian_sxy: Standard deviation of the smoothness kernel, in pixels.
        gaussian_compat: Weight of the smoothness kernel.
        bilateral_sxy: Standard deviation of the appearance kernel in space, in pixels.
        bilateral_srgb: Standard deviation of the appearance kernel in colour, of 0..255.
        bilateral_compat: Weight of the appearance kernel.
        iterations: Steps of mean field inference.

    Raises:
        ValueError: If a value is not positive.
    """

    gaussian_sxy: float = 3
    gaussian_compat: float = 3
    bilateral_sxy: float = 83
    bilateral_srgb: float = 5
    bilateral_compat: float = 3
    iterations: int = 10

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:
                raise ValueError(f'CRF: {field.name} has to be positive, got {value}')


def require_crf() -> None:
    """See that the CRF's library is there.

    Raises:
        ImportError: If it is not; says how to get it.
    """
    try:
        import pydensecrf.densecrf  # noqa: F401
    except ImportError as error:
        raise ImportError(
            'dense CRF needs pydensecrf2, which is compiled when installed: '
            'pip install "semples-mmseg[crf]"'
        ) from error


def crf_on_probabilities(
    image: np.ndarray, probabilities: np.ndarray, settings: CRFSettings
) -> np.ndarray:
    """Labels of one image after a dense CRF whose unary term is -log(probability).

    Classes of probability zero in every pixel (those that image-level labels rule out) take no
    part, so that the CRF cannot bring them back.

    Args:
        image: uint8 (H, W, 3), RGB.
        probabilities: (C, H, W) in [0, 1].
        settings: The pairwise potentials.

    Returns:
        uint8 (H, W), class ids 0..C - 1.

    Raises:
        ImportError: If pydensecrf2 is not installed.
        ValueError: If the shapes do not fit or there are more than 256 classes.
    """
    require_crf()
    from pydensecrf.densecrf import DenseCRF2D
    from pydensecrf.utils import unary_from_softmax

    height, width = probabilities.shape[1:]
    if image.shape != (height, width, 3) or image.dtype != np.uint8 or len(probabilities) > 256:
        raise ValueError(
            f'CRF: expected a uint8 image ({height}, {width}, 3) and at most 256 classes, got '
            f'{image.dtype} {image.shape} and {len(probabilities)} classes'
        )
    present = np.flatnonzero(probabilities.any(axis=(1, 2)))
    if len(present) == 1:
        return np.full((height, width), present[0], np.uint8)
    crf = DenseCRF2D(width, height, len(present))
    crf.setUnaryEnergy(unary_from_softmax(np.ascontiguousarray(probabilities[present])))
    crf.addPairwiseGaussian(sxy=settings.gaussian_sxy, compat=settings.gaussian_compat)
    crf.addPairwiseBilateral(
        sxy=settings.bilateral_sxy,
        srgb=settings.bilateral_srgb,
        rgbim=np.ascontiguousarray(image),
        compat=settings.bilateral_compat,
    )
    marginals = np.array(crf.inference(settings.iterations))
    return present[marginals.argmax(0)].reshape(height, width).astype(np.uint8)
