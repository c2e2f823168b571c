"""A patch embedding of strided 3x3 convolutions."""

import math
from typing import Any

from mmseg.registry import MODELS
from torch import Tensor, nn

from ..utils.errors import Refusal


class _ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of a (B, C, H, W) map."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


@MODELS.register_module()
class ConvStem(nn.Sequential):
    """Patch projection by log2(stride) 3x3 convolutions of stride 2.

    A vision transformer uses it with ``patch_cfg=dict(conv_type='ConvStem')``. Pixels at the right
    and bottom that do not fill a patch are cut off. Source: Xiao et al., "Early convolutions help
    transformers see better", 2021.

    Args:
        in_channels: Channels of the image.
        out_channels: Width of the transformer.
        kernel_size: Patch size; equal to ``stride``.
        stride: Patch size in pixels, a power of two of at least 2.
        bias: Whether the last convolution has a bias.
        **unused: ``padding`` and ``dilation``, as for every patch projection.

    Shape:
        (B, in_channels, H, W) -> (B, out_channels, H // stride, W // stride).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int],
        bias: bool = True,
        **unused: Any,
    ) -> None:
        patch, kernel = (n if isinstance(n, int) else n[0] for n in (stride, kernel_size))
        depth = int(math.log2(patch)) if patch > 1 else 0
        if depth < 1 or 2**depth != patch or kernel != patch:
            raise Refusal(
                f'ConvStem needs a patch size that is a power of two and equal to its stride, '
                f'got kernel_size={kernel_size} and stride={stride}'
            )
        layers: list[nn.Module] = []
        for level in reversed(range(1, depth)):
            width = max(out_channels // 2**level, 8)
            layers.append(nn.Conv2d(in_channels, width, 3, 2, 1))
            layers += [_ChannelNorm(width), nn.GELU()]
            in_channels = width
        layers.append(nn.Conv2d(in_channels, out_channels, 3, 2, 1, bias=bias))
        super().__init__(*layers)
        self.patch = patch

    def forward(self, x: Tensor) -> Tensor:
        height, width = (side // self.patch * self.patch for side in x.shape[-2:])
        return super().forward(x[..., :height, :width])
