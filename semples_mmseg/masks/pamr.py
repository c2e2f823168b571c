"""Pixel-adaptive mask refinement (Araslanov and Roth, arXiv 2005.08104)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.registry import TASK_UTILS
from torch import Tensor

from ..utils.errors import Refusal
from .refinement import CAMRefinement

DILATIONS = (1, 2, 4, 8, 12, 24)
"""Dilations of the published neighbourhood."""


def _shifted(maps: Tensor, dilations: Sequence[int]) -> list[Tensor]:
    """Views of maps (B, C, H, W) in which every pixel has the value of one of its neighbours; those
    outside the image are the nearest pixels of the edge."""
    height, width = maps.shape[-2:]
    pad = max(dilations)
    wide = F.pad(maps, (pad, pad, pad, pad), mode='replicate')
    around = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x]
    places = [(pad + d * y, pad + d * x) for d in dilations for y, x in around]
    return [wide[..., top : top + height, left : left + width] for top, left in places]


def pixel_affinity(
    image: Tensor, dilations: Sequence[int] = DILATIONS, bandwidth: float = 0.1
) -> Tensor:
    """Weights of every pixel's neighbours, from the colours (B, 3, H, W), dark or bright.

        weight(p, q) = softmax over q in N(p) of mean over c of -|I_pc - I_qc| / (b σ_pc)

    where I_pc is colour c of pixel p, σ_pc its standard deviation over the neighbours N(p), 8 at
    each of D dilations, and b the bandwidth; smaller is sharper. (B, 8 D, H, W), summing to 1.
    """
    neighbours = _shifted(image, dilations)
    mean, variance = torch.zeros_like(image), torch.zeros_like(image)
    for neighbour in neighbours:
        mean += neighbour / len(neighbours)
    for neighbour in neighbours:
        variance += (neighbour - mean).square() / len(neighbours)
    scale = bandwidth * (variance.sqrt() + 1e-8)  # no division by 0 where all is one colour
    distances = [((image - neighbour).abs() / scale).mean(1) for neighbour in neighbours]
    return torch.stack(distances, 1).neg_().softmax(1)


def refine_scores(
    image: Tensor,
    scores: Tensor,
    dilations: Sequence[int] = DILATIONS,
    iterations: int = 10,
    bandwidth: float = 0.1,
) -> Tensor:
    """Replace the scores of every pixel by the weighted mean of its neighbours', repeatedly.

    Colours are float (B, 3, H, W) in any range, scores float (B, C, H, W), whose range they keep.
    """
    weights = pixel_affinity(image, dilations, bandwidth)
    for _ in range(iterations):
        shifted = _shifted(scores, dilations)
        scores = torch.zeros_like(scores)
        for index, neighbour in enumerate(shifted):
            scores.addcmul_(weights[:, index : index + 1], neighbour)
    return scores


@TASK_UTILS.register_module()
class PAMR(CAMRefinement):
    """Refines the CAMs of the present classes by colour before pixels are labelled.

    A weighted mean does not change the background score, so only the CAMs are iterated.

    Args:
        dilations: Distances of the 8 neighbours, in pixels of the original image.
        iterations: Number of repetitions.
        bandwidth: See ``pixel_affinity``; smaller is sharper.
    """

    def __init__(
        self, dilations: Sequence[int] = DILATIONS, iterations: int = 10, bandwidth: float = 0.1
    ) -> None:
        if not dilations or min(*dilations, iterations, bandwidth) <= 0:
            raise Refusal(
                'PAMR: `dilations`, `iterations` and `bandwidth` must be positive, got '
                f'{tuple(dilations)}, {iterations} and {bandwidth}.'
            )
        self.numbers: dict[str, Any] = dict(
            dilations=list(dilations), iterations=iterations, bandwidth=bandwidth
        )
        self.settings = dict(type='PAMR', **self.numbers)

    def refine(self, image: Tensor, cams: Tensor) -> Tensor:
        """See ``CAMRefinement``."""
        return refine_scores(image.permute(2, 0, 1)[None].float(), cams[None], **self.numbers)[0]
