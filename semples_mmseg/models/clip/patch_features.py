"""CLIP's features of the parts of an image, to compare prompts with (SemPLeS, figure 4)."""

import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...utils.errors import Refusal
from .image_head import CLIPImageHead
from .streamlining import FirstToken, FrozenBlock


def has_patch_tokens(head: CLIPImageHead) -> bool:
    """Whether the image encoder has patch tokens in the space of CLIP's features."""
    from open_clip.transformer import VisionTransformer

    visual: Any = head.encoder.network
    transformer = isinstance(visual, VisionTransformer)
    return transformer and visual.attn_pool is None and visual.proj is not None


@torch.no_grad()
def patch_features(head: CLIPImageHead, images: Tensor, dense: bool = False) -> Tensor:
    """Features of all patches: tokens through the last norm and the projection, normalised.

    Args:
        head: With a vision transformer of open_clip.
        images: (B, 3, s, s) from ``head.prepare``.
        dense: Whether each patch attends only to itself in the last block, as in MaskCLIP
            (arXiv 2112.01071), with its residual and MLP. Maps are sharper. Not in the paper.

    Returns:
        (B, h, w, D) unit vectors.

    Raises:
        ValueError: If the image encoder has no patch tokens in CLIP's feature space.
    """
    visual: Any = head.encoder.network
    if not has_patch_tokens(head):
        raise Refusal(
            f'the image encoder of this CLIP, {type(visual).__name__}, has no patch tokens in the '
            'space of its features, as vision transformers of open_clip without attention pooling '
            'have. Windows of the image work with every CLIP: --windows'
        )
    *earlier, last = visual.transformer.resblocks
    last = last.block if isinstance(last, FirstToken) else last
    if dense and not isinstance(last, FrozenBlock):
        raise Refusal(
            f'dense features need the usual block of open_clip; the last block of this CLIP is a '
            f'{type(last).__name__}'
        )
    height, width = visual.grid_size
    half = head.encoder.dtype
    with torch.autocast(images.device.type, half, enabled=half is not None):
        tokens = visual._embeds(images)
        for block in earlier:
            tokens = block(tokens)
        tokens = last.attend_to_self(tokens) if dense else last(tokens)
        patches = visual.ln_post(tokens[:, -height * width :]) @ visual.proj
    return F.normalize(patches.float(), dim=-1).unflatten(1, (height, width))


@torch.no_grad()
def window_features(head: CLIPImageHead, images: Tensor, grid: int = 16, span: int = 6) -> Tensor:
    """Mean features of overlapping windows, for any CLIP. Not in the paper.

    Args:
        head: Any.
        images: (B, 3, H, W), normalised as for ``head.prepare``.
        grid: Cells of the map a side.
        span: Cells a side of a window; windows begin at every cell where they fit.

    Returns:
        (B, grid, grid, D), for each cell the mean of the unit features of the windows over it.
    """
    ys, xs = ([round(cell * side / grid) for cell in range(grid + 1)] for side in images.shape[2:])
    starts = range(grid - span + 1)
    total = count = images.new_zeros(len(images), grid, grid, 1)
    for top, left in itertools.product(starts, starts):
        bottom, right = top + span, left + span
        window = images[..., ys[top] : ys[bottom], xs[left] : xs[right]]
        inside = torch.zeros_like(count)
        inside[:, top:bottom, left:right] = 1
        total = total + inside * head(head.prepare(window))[:, None, None]
        count = count + inside
    return total / count
