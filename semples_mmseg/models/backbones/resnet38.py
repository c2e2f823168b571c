"""The wide residual network of 38 layers that many papers take CAMs from."""

from collections.abc import Sequence

import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

# Widths of the convolutions of a unit, number of units, dilation at output stride 8. Blocks of two
# are 3x3 convolutions, blocks of three are bottlenecks (1x1, 3x3, 1x1).
_BLOCKS: tuple[tuple[tuple[int, ...], int, int], ...] = (
    ((128, 128), 3, 1),
    ((256, 256), 3, 1),
    ((512, 512), 6, 1),
    ((512, 1024), 3, 2),
    ((512, 1024, 2048), 1, 4),
    ((1024, 2048, 4096), 1, 4),
)
# Blocks that halve the size of their maps; those after them are dilated instead.
_STRIDED = 3


class _Unit(nn.Module):
    """Normalisation, ReLU, convolution, two or three times, added to the input."""

    def __init__(self, incoming: int, widths: Sequence[int], stride: int, dilation: int) -> None:
        super().__init__()
        sides = (3, 3) if len(widths) == 2 else (1, 3, 1)
        self.norms, self.convs = nn.ModuleList(), nn.ModuleList()
        channels = incoming
        for index, (width, side) in enumerate(zip(widths, sides, strict=True)):
            self.norms.append(nn.BatchNorm2d(channels))
            spread = dilation if side == 3 else 1
            self.convs.append(
                nn.Conv2d(
                    channels,
                    width,
                    side,
                    stride=stride if index == 0 else 1,
                    padding=spread * (side // 2),
                    dilation=spread,
                    bias=False,
                )
            )
            channels = width
        changes = stride != 1 or incoming != channels
        self.shortcut = nn.Conv2d(incoming, channels, 1, stride, bias=False) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norms[0](x))
        kept = x if self.shortcut is None else self.shortcut(y)
        y = self.convs[0](y)
        for norm, conv in zip(list(self.norms)[1:], list(self.convs)[1:], strict=True):
            y = conv(F.relu(norm(y)))
        return kept + y


@MODELS.register_module()
class ResNet38(BaseModule):
    """Wide residual network "A1" with pre-activated units (Wu et al., arXiv 1611.10080, table 1).

    Its maps are an eighth of the image's size, with dilated convolutions in the last blocks.

    Args:
        width: Factor of all channels; 1 is the paper's.
        init_cfg: MMEngine's initialisation.
    """

    def __init__(self, width: float = 1.0, init_cfg: dict | list[dict] | None = None) -> None:
        super().__init__(
            init_cfg or dict(type='Kaiming', layer='Conv2d', mode='fan_in', nonlinearity='relu')
        )
        channels = round(64 * width)
        self.stem = nn.Conv2d(3, channels, 3, padding=1, bias=False)
        blocks = []
        for number, (widths, units, dilation) in enumerate(_BLOCKS):
            scaled = [round(value * width) for value in widths]
            for unit in range(units):
                stride = 2 if unit == 0 and number < _STRIDED else 1
                blocks.append(_Unit(channels, scaled, stride, dilation))
                channels = scaled[-1]
        self.units = nn.Sequential(*blocks)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Maps of images.

        Args:
            images: (B, 3, H, W), normalised.

        Returns:
            One map, (B, 4096, ceil(H / 8), ceil(W / 8)).
        """
        return (F.relu(self.norm(self.units(self.stem(images)))),)
