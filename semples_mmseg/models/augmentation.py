"""Augmentation of a batch of images on their device, with random numbers from the loader.

The operations are those of MMPretrain's RandAugment and RandomErasing and of MMCV's RandomFlip, on
8-bit images. Except for interpolation and noise, the results are the same.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2 import functional as vision

_GREY = (0.114, 0.587, 0.299)
"""Weights of B, G and R."""


def augment(images: Tensor, steps: Sequence[Sequence[Sequence[Any]]]) -> Tensor:
    """Apply the steps of each image in their order.

    The n-th steps of all images are applied together, in one batch for each operation.

    Args:
        images: uint8 (B, 3, H, W), BGR; changed in place.
        steps: For each image, steps as ``DeferAugmentation`` draws them: the name of an
            operation and its numbers.

    Returns:
        The images.
    """
    for place in range(max(map(len, steps))):
        rows: dict[str, list[int]] = defaultdict(list)
        for row, own in enumerate(steps):
            if place < len(own):
                rows[own[place][0]].append(row)
        for name, chosen in rows.items():
            numbers = [steps[row][place][1:] for row in chosen]
            index = torch.tensor(chosen).to(images.device, non_blocking=True)
            images[index] = _OPERATIONS[name](images[index], numbers)
    return images


def _column(numbers: Sequence[Sequence[float]], images: Tensor, first: int = 0) -> Tensor:
    """One number of each image, (n, 1, 1, 1)."""
    values = torch.tensor([row[first] for row in numbers], dtype=torch.float32)
    return values.to(images.device, non_blocking=True).view(-1, 1, 1, 1)


def _grey(images: Tensor) -> Tensor:
    """(n, 1, H, W), rounded, as float32."""
    weights = images.new_tensor(_GREY, dtype=torch.float32).view(1, 3, 1, 1)
    return (images * weights).sum(1, keepdim=True).round()


def _cut(values: Tensor) -> Tensor:
    """Convert to 8 bits, without rounding."""
    return values.clamp_(0, 255).to(torch.uint8)


def _blend(images: Tensor, other: Tensor, numbers: Sequence[Sequence[float]]) -> Tensor:
    """Images x factor + other x (1 - factor), factor = 1 + magnitude."""
    factor = 1 + _column(numbers, images)
    return images * factor + other * (1 - factor)


def _colour(images: Tensor, numbers: Sequence[Sequence[float]]) -> Tensor:
    return _cut(_blend(images, _grey(images), numbers).round_())


def _contrast(images: Tensor, numbers: Sequence[Sequence[float]]) -> Tensor:
    mean = _grey(images).mean((1, 2, 3), keepdim=True).round()
    return _cut(_blend(images, mean, numbers))


def _brightness(images: Tensor, numbers: Sequence[Sequence[float]]) -> Tensor:
    return _cut(_blend(images, torch.zeros((), device=images.device), numbers))


def _sharpness(images: Tensor, numbers: Sequence[Sequence[float]]) -> Tensor:
    kernel = torch.ones(3, 1, 3, 3, device=images.device)
    kernel[:, :, 1, 1] = 5
    padded = F.pad(images.float(), (1, 1, 1, 1), mode='reflect')
    smooth = F.conv2d(padded, kernel / 13, groups=3).round_()
    return _cut(_blend(images, smooth, numbers))


def _solarize(images: Tensor, numbers: Sequence[Sequence[float]]) -> Tensor:
    return torch.where(images < _column(numbers, images), images, 255 - images)


def _solarize_add(images: Tensor, numbers: Sequence[Sequence[float]]) -> Tensor:
    added = _cut(images + _column(numbers, images))
    return torch.where(images < _column(numbers, images, 1), added, images)


def _posterize(images: Tensor, numbers: Sequence[Sequence[float]]) -> Tensor:
    step = 2 ** (8 - _column(numbers, images).ceil())
    return (torch.div(images, step, rounding_mode='floor') * step).to(torch.uint8)


def _moved(
    source: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]],
) -> Callable[[Tensor, Sequence[Sequence[float]]], Tensor]:
    """A geometric operation with bicubic interpolation; numbers: magnitude and padding colour.

    Args:
        source: From columns x, rows y and magnitudes m, of broadcasting shapes (n, H, W), to the
            columns and rows of the image that the result's pixels come from. The
            centre of the image is (0, 0).
    """

    def operation(images: Tensor, numbers: Sequence[Sequence[float]]) -> Tensor:
        height, width = images.shape[-2:]
        x = torch.arange(width, device=images.device).view(1, 1, -1) - (width - 1) / 2
        y = torch.arange(height, device=images.device).view(1, -1, 1) - (height - 1) / 2
        x, y = source(x, y, _column(numbers, images)[:, 0])
        shape = (len(images), height, width)
        grid = torch.stack([x.expand(shape) * 2 / width, y.expand(shape) * 2 / height], -1)
        # Subtracted, the padding colour outside the image is zero.
        pad = torch.cat([_column(numbers, images, channel) for channel in (1, 2, 3)], 1)
        moved = F.grid_sample(images - pad, grid, mode='bicubic', align_corners=False)
        return _cut((moved + pad).round_())

    return operation


def _rotated(x: Tensor, y: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    cos, sin = angle.deg2rad().cos(), angle.deg2rad().sin()
    return cos * x + sin * y, cos * y - sin * x


def _first_pixel(x: Tensor) -> Tensor:
    """Counted from the first pixel, as shearing does."""
    return x - x.flatten()[0]


def _erase(images: Tensor, numbers: Sequence[Sequence[Any]]) -> Tensor:
    for image, (top, left, height, width, *colours, seed) in zip(images, numbers, strict=True):
        mean, std = images.new_tensor([colours[:3], colours[3:]], dtype=torch.float32)[
            ..., None, None
        ]
        draw = torch.Generator(images.device).manual_seed(seed)
        noise = torch.randn(3, height, width, generator=draw, device=images.device)
        image[:, top : top + height, left : left + width] = _cut(noise * std + mean)
    return images


_OPERATIONS: dict[str, Callable[[Tensor, Sequence[Sequence[Any]]], Tensor]] = {
    'flip horizontal': lambda images, _: vision.horizontal_flip(images),
    'flip vertical': lambda images, _: vision.vertical_flip(images),
    'flip diagonal': lambda images, _: images.flip((-2, -1)),
    'AutoContrast': lambda images, _: vision.autocontrast(images),
    'Equalize': lambda images, _: vision.equalize(images),
    'Invert': lambda images, _: vision.invert(images),
    'Posterize': _posterize,
    'Solarize': _solarize,
    'SolarizeAdd': _solarize_add,
    'ColorTransform': _colour,
    'Contrast': _contrast,
    'Brightness': _brightness,
    'Sharpness': _sharpness,
    'Rotate': _moved(_rotated),
    'Shear horizontal': _moved(lambda x, y, m: (x - m * _first_pixel(y), y)),
    'Shear vertical': _moved(lambda x, y, m: (x, y - m * _first_pixel(x))),
    'Translate horizontal': _moved(lambda x, y, m: (x - m, y)),
    'Translate vertical': _moved(lambda x, y, m: (x, y - m)),
    'erase': _erase,
}
