"""Unlabelled photos, whole and masked at random, as an ImageNet classifier sees them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from rich.progress import track
from torch import Tensor

from semples_mmseg.utils.images import read_image

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of images of ImageNet, R, G, B in 0..1."""
_MASKS = 3
"""Random masks of each photo; each gives two pictures, what it covers and the rest."""


def read_photo(path: Path, size: int | tuple[int, int]) -> Tensor:
    """A photo (3, H, W) of two sides, or with a short side ``size``; 0 is ImageNet's mean."""
    photo = Image.fromarray(read_image(path))
    if isinstance(size, int):
        size = tuple(max(size, round(side * size / min(photo.size))) for side in photo.size)
    pixels = np.asarray(photo.resize(size, Image.Resampling.BICUBIC), np.float32) / 255
    return torch.from_numpy((pixels - np.float32(MEAN)) / np.float32(STD)).permute(2, 0, 1)


def random_mask(size: int, rng: torch.Generator) -> Tensor:
    """A mask (size, size) in 0..1: a smooth random shape, or a rectangle, with a soft edge."""
    share = 0.1 + 0.8 * torch.rand((), generator=rng)
    if torch.rand((), generator=rng) < 0.25:
        place = torch.linspace(-1, 1, size)
        middle = 0.6 * (2 * torch.rand(2, generator=rng) - 1)
        field = -torch.maximum((place - middle[0]).abs()[:, None], (place - middle[1]).abs()[None])
    else:
        waves = int(torch.randint(3, 8, (), generator=rng))
        noise = torch.randn((1, 1, waves, waves), generator=rng)
        field = F.interpolate(noise, (size, size), mode='bicubic', align_corners=True)[0, 0]
    return torch.sigmoid((field - field.quantile(1 - share)) / 0.05)


def random_crop(photo: Tensor, size: int, rng: torch.Generator) -> Tensor:
    """A square part (3, size, size) of a photo, half of them mirrored."""
    side = int(size * (0.55 + 0.45 * torch.rand((), generator=rng)))
    top, left = (int(torch.randint(end - side + 1, (), generator=rng)) for end in photo.shape[1:])
    part = photo[:, top : top + side, left : left + side]
    part = part.flip(-1) if torch.rand((), generator=rng) < 0.5 else part
    return F.interpolate(part[None], (size, size), mode='bicubic', antialias=True)[0]


@torch.inference_mode()
def compute_features(classifier: Any, files: list[Path], size: int, seed: int) -> Tensor:
    """Features (photos, 8, C) as they enter the classifier: middle, a part, what masks leave."""
    out = []
    for index, file in enumerate(track(files, 'pictures of the photos')):
        rng = torch.Generator().manual_seed(seed * 1_000_003 + index)
        photo = read_photo(file, size)
        top, left = ((length - size) // 2 for length in photo.shape[1:])
        pictures = [photo[:, top : top + size, left : left + size], random_crop(photo, size, rng)]
        for _ in range(_MASKS):
            part, mask = random_crop(photo, size, rng), random_mask(size, rng)
            pictures += [part * mask, part * (1 - mask)]
        maps = classifier.forward_features(torch.stack(pictures))
        out.append(classifier.forward_head(maps, pre_logits=True))
    return torch.stack(out)
