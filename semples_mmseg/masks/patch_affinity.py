"""Refinement of CAMs by the patch affinity of a frozen vision transformer of timm's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from mmseg.registry import TASK_UTILS
from torch import Tensor

from ..models.soft_masks import min_max
from ..utils.errors import Refusal
from ..weights import read_state_dict, resolve
from ..weights.hub import timm_file
from .refinement import CAMRefinement


def spread(features: Tensor, cams: Tensor, beta: float = 0.4, iterations: int = 2) -> Tensor:
    """Spread CAMs over similar patches (as AFA, arXiv 2203.02664, and others do).

        A = max(F F^T - β, 0), rows divided by their sums;  CAM' = A^t CAM, min-max per class

    F are the patch tokens (D, h, w) as unit vectors. CAMs (n, H, W) are resized to their grid and
    back. β, below 1, is ``beta``, and t is ``iterations``.
    """
    grid, size = features.shape[1:], cams.shape[1:]
    tokens = F.normalize(features.flatten(1).T, dim=-1)
    affinity = F.normalize((tokens @ tokens.T - beta).relu(), p=1, dim=-1)
    scores = F.interpolate(cams[None], grid, mode='bilinear', antialias=True)[0].flatten(1)
    for _ in range(iterations):
        scores = scores @ affinity.T
    scores = min_max(scores.unflatten(1, grid), eps=1e-8)
    return F.interpolate(scores[None], size, mode='bilinear')[0]


@TASK_UTILS.register_module()
class PatchAffinity(CAMRefinement):
    """Spreads the CAMs of the present classes over patches that a transformer finds similar.

    Args:
        model: Name of a vision transformer of timm's, such as ``vit_small_patch16_224.dino``.
        weights: File of its weights; by default timm's of this name, downloaded if need be.
        beta: See ``spread``, as for ``iterations``. Tokens are those after the last norm.
        scale: The photo is enlarged by it first: the grid of patches becomes finer.
    """

    def __init__(
        self,
        model: str,
        weights: str | None = None,
        beta: float = 0.4,
        iterations: int = 2,
        scale: float = 1.0,
    ) -> None:
        if not 0 <= beta < 1 or min(iterations, scale) <= 0:
            raise Refusal(
                'PatchAffinity: `beta` must be in [0, 1), `iterations` and `scale` positive, got '
                f'{beta}, {iterations} and {scale}.'
            )
        try:
            network = timm.create_model(model, dynamic_img_size=True)  # before a download
            if not hasattr(network, 'num_prefix_tokens'):
                raise TypeError('it has no patch tokens')
            self.file = timm_file(model) if weights is None else resolve(weights)
            given = dict(file=None, state_dict=read_state_dict(self.file))
            self.network: Any = timm.create_model(
                model, pretrained=True, pretrained_cfg_overlay=given, dynamic_img_size=True
            ).eval()
        except (RuntimeError, TypeError, AttributeError, KeyError) as error:
            reason = ' '.join(str(error).split())[:200]
            raise Refusal(
                f'PatchAffinity: {model!r} of timm is no vision transformer with patch tokens for '
                f'images of all sizes, such as vit_small_patch16_224.dino, or {weights} has no '
                f'weights of it: {reason}'
            ) from error
        self.scale = scale
        self.numbers: dict[str, Any] = dict(beta=beta, iterations=iterations)
        self.settings: dict[str, Any] = dict(
            type='PatchAffinity', model=model, scale=scale, **self.numbers
        )

    @torch.no_grad()
    def features(self, image: Tensor) -> Tensor:
        """Patch tokens (D, h, w) of an image in RGB, (H, W, 3), 0..255."""
        network = self.network.to(image.device)
        steps = zip(image.shape[:2], network.patch_embed.patch_size, strict=True)
        size = [max(round(side * self.scale / step), 1) * step for side, step in steps]
        pixels = image.permute(2, 0, 1)[None].float() / 255
        pixels = F.interpolate(pixels, size, mode='bicubic', antialias=True)
        mean, std = (pixels.new_tensor(network.pretrained_cfg[key]) for key in ('mean', 'std'))
        pixels = (pixels - mean.view(3, 1, 1)) / std.view(3, 1, 1)
        return network.forward_intermediates(pixels, 1, norm=True, intermediates_only=True)[0][0]

    def inputs(self, photos: Mapping[str, Path]) -> dict[str, Path]:
        """See ``refinement.Refinement.inputs``."""
        return dict(transformer=self.file)

    def refine(self, image: Tensor, cams: Tensor) -> Tensor:
        """See ``CAMRefinement``."""
        return spread(self.features(image), cams, **self.numbers)
