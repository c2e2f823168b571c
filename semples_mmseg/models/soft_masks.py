"""From CAMs to soft masks and label maps, for present classes only."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..utils.errors import RunError
from ..utils.sizes import enlarged_labels


def refuse_nan(scores: Tensor, sample: Any) -> None:
    """Raise ``RunError`` for CAMs or logits of a data sample of which a pixel has no best class."""
    if scores.isnan().any():
        raise RunError(
            f'{sample.metainfo.get("img_path", "an image")}: what the model predicts is not a '
            'number (NaN), so it gets no mask: its weights are damaged or too large'
        )


def min_max(maps: Tensor, eps: float) -> Tensor:
    """Scale every map (..., H, W) to [0, 1): (c - min) / (max - min + eps), neither detached."""
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    return (maps - low) / (high - low + eps)


def soft_masks(cams: Tensor, size: tuple[int, int], eps: float) -> Tensor:
    """Soft masks M of (image, present class) pairs (SemPLeS, section 3.2.1).

    Args:
        cams: (P, h, w), one map per pair.
        size: Height and width of the masks: CLIP's input.
        eps: See ``min_max``; 0.1 in the stages match and refine, 1e-4 in prompt.

    Returns:
        (P, 1, H, W) in [0, 1].
    """
    large = F.interpolate(cams[:, None], size, mode='bilinear', align_corners=True)
    return min_max(large, eps)


def label_map(
    cams: Tensor, classes: Tensor, background_score: float, size: tuple[int, int] | None = None
) -> Tensor:
    """Label every pixel with the best of [background score, CAMs of the present classes].

    Args:
        cams: (n, h, w) in [0, 1], maps of the n present classes.
        classes: (n,) their 0-based object classes.
        background_score: A class wins only above it; ties are background.
        size: Height and width (H, W) of the result, not smaller than (h, w), which is the default.

    Returns:
        (H, W) int64: 0 for background, class + 1 otherwise.
    """
    size = size or (cams.shape[-2], cams.shape[-1])
    if len(cams) == 0:
        return torch.zeros(size, dtype=torch.long, device=cams.device)
    if size != cams.shape[-2:]:
        background = cams.new_full((1, *cams.shape[1:]), background_score)
        ids = F.pad(classes + 1, (1, 0))
        return ids[best_classes(torch.cat([background, cams]), size)]
    best, index = cams.max(0)
    return torch.where(best > background_score, classes[index] + 1, 0)


def best_classes(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """Best class (H, W) of every pixel of a photo from scores (C, h, w), h <= H and w <= W.

    No scores of the photo's size are made.
    """
    labels = enlarged_labels(scores.detach().float().cpu().numpy(), size)
    return torch.from_numpy(labels).to(scores.device, torch.int64, non_blocking=True)
