"""Retraining without gradients from the most doubtful pixels (arXiv 2304.01184)."""

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...utils.errors import Refusal


@MODELS.register_module()
class GradientClippingLoss(nn.Module):
    """Cross entropy whose largest values in each tile give no gradient (WeakTr, section 3.3).

    L is the cross entropy of a pixel (0 where ignored) and m its mean over the batch. While
    m > ``start`` the loss is m. From then on it is

        mean(min(L, t)) with t = max(mean of L in the tile, m), a constant

    As published, ignored pixels count in every mean with value 0, tile means are over all images of
    the batch, and the loss of a clipped pixel still counts in the value.

    Args:
        start: Mean loss at or below which clipping begins.
        tile: Side of a square tile in pixels; those at the border may be smaller.
        loss_weight: Factor of the loss.
        loss_name: Name in the log; it is part of the total loss if it starts with ``loss_``.
    """

    def __init__(
        self,
        start: float = 1.2,
        tile: int = 120,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_gcl',
    ) -> None:
        super().__init__()
        if tile < 1:
            raise Refusal(f'`tile` must be a positive number of pixels, got {tile}.')
        self.start, self.tile, self.loss_weight = start, tile, loss_weight
        self.loss_name = loss_name

    def _tile_means(self, values: Tensor) -> Tensor:
        """Mean over each tile of all images, spread over its pixels: (N, H, W) -> (1, H, W)."""
        means = F.avg_pool2d(
            values.mean(0)[None, None], self.tile, ceil_mode=True, count_include_pad=False
        )
        spread = means[0].repeat_interleave(self.tile, -2).repeat_interleave(self.tile, -1)
        return spread[:, : values.shape[-2], : values.shape[-1]]

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        ignore_index: int = 255,
        **kwargs: object,
    ) -> Tensor:
        """The loss, a scalar of float32 at least.

        Args:
            cls_score: Logits (N, C, H, W).
            label: Class ids or ``ignore_index``, int64 (N, H, W).
            weight: Factor of each pixel's cross entropy (N, H, W), as of MMSeg's pixel samplers.
            ignore_index: Label of the pixels without a loss.
            **kwargs: Not used; MMSeg's heads may pass more.
        """
        # a sum over millions of pixels exceeds the range of float16
        cls_score = cls_score.to(torch.promote_types(cls_score.dtype, torch.float32))
        loss = F.cross_entropy(cls_score, label, reduction='none', ignore_index=ignore_index)
        if weight is not None:
            loss = loss * weight
        mean = loss.detach().sum() / loss.numel()
        # torch.where, not minimum, which halves the gradient of pixels at the threshold
        tile_mean = self._tile_means(loss.detach())
        threshold = torch.where(mean > self.start, torch.inf, tile_mean.clamp_min(mean))
        clipped = torch.where(loss <= threshold, loss, threshold)
        return self.loss_weight * clipped.sum() / loss.numel()
