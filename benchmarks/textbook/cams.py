"""Multi-scale CAMs as published: one image, one scale, one flip at a time."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from semples_mmseg.models import WeakTrGenerator

from .generator import generate


@torch.no_grad()
def multi_scale_cams(
    generator: WeakTrGenerator, scales: Sequence[Tensor], label: Tensor, size: tuple[int, int]
) -> Tensor:
    """CAMs of one image.

    Args:
        generator: The mask generator, in eval mode.
        scales: The image (3, H, W) at each scale, normalised.
        label: Multi-hot (K,).
        size: Height and width of the original image.

    Returns:
        (n, H, W) in [0, 1], maps of the n present classes.
    """
    total = torch.zeros(len(label), *size, device=label.device)
    for image in scales:
        for flipped in (False, True):
            batch = (image.flip(-1) if flipped else image)[None]
            cams = generate(generator, batch).cams.float()
            cams = F.interpolate(cams, size, mode='bilinear', align_corners=False)[0]
            cams = cams * label[:, None, None]
            total += cams.flip(-1) if flipped else cams
    low, high = total.amin((1, 2), keepdim=True), total.amax((1, 2), keepdim=True)
    return ((total - low) / (high - low + 1e-8))[label > 0]
