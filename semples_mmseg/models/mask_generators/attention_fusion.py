"""Adaptive attention fusion: one learned weight for every attention head of every block."""

import functools
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...utils.errors import Refusal
from .multi_token_vit import BlockTrace


class AdaptiveAttentionFusion(nn.Module):
    """Mean of all attention maps, weighted by a learned weight for each head (WeakTr, 3.2).

    Every block's features (B, T, C) are split into as many groups as there are heads: channel j
    goes to group j mod heads, position j div heads, as published checkpoints need it. Maps and
    groups are ordered head-major: index = head * blocks + block. The backbone gets no gradient
    through the fusion.

    Args:
        num_heads: Heads of a block.
        num_blocks: Blocks of the backbone.
        head_dims: Channels of a group, C / heads.
        reduction: Bottleneck of the second pair of layers (r in the paper; 8 for VOC, 4 for COCO).
        feature_reduction: Bottleneck of the first pair of layers.
        pooling: ``'max'`` or ``'mean'`` over all T tokens (VOC: max, COCO: mean).
    """

    def __init__(
        self,
        num_heads: int,
        num_blocks: int,
        head_dims: int,
        reduction: int = 8,
        feature_reduction: int = 8,
        pooling: str = 'max',
    ) -> None:
        super().__init__()
        if pooling not in ('max', 'mean'):
            raise Refusal(f"fusion pooling must be 'max' or 'mean', got {pooling!r}")
        total = num_heads * num_blocks
        if reduction > total or feature_reduction > head_dims:
            raise Refusal(
                f'fusion reduction is at most {total}, the heads of all blocks, and '
                f'feature_reduction {head_dims}, the features of a head'
            )
        self.num_heads, self.pooling = num_heads, pooling
        narrow = head_dims // feature_reduction
        self.attn_feat_ffn = nn.Sequential(nn.Linear(head_dims, narrow), nn.Linear(narrow, 1))
        self.attn_head_ffn = nn.Sequential(
            nn.Linear(total, total // reduction, bias=False),
            nn.ReLU(),
            nn.Linear(total // reduction, total, bias=False),
            nn.Sigmoid(),
        )

    def head_weights(self, features: Sequence[Tensor]) -> Tensor:
        """Weights (B, heads, blocks) in (0, 1) from the features (B, T, C) of each block."""
        pooled = []
        for block in features:
            block = block.detach()
            values = block.amax(1) if self.pooling == 'max' else block.mean(1)
            # channel j -> (position j div heads, group j mod heads)
            pooled.append(values.unflatten(1, (-1, self.num_heads)).transpose(1, 2))
        groups = torch.stack(pooled, dim=2)  # (B, heads, blocks, head_dims)
        scores = self.attn_feat_ffn(groups).flatten(1)  # (B, heads * blocks), head-major
        return self.attn_head_ffn(scores).unflatten(1, groups.shape[1:3])

    def forward(self, traces: Sequence[BlockTrace], columns: slice = slice(None)) -> Tensor:
        """Mean over all heads of weight x attention (B, T, T), or some columns of it."""
        weights = self.head_weights([trace.features for trace in traces])
        # All columns, because a slice is copied and kept for the backward pass.
        fused = _weighted_sum(weights, (trace.attention.detach() for trace in traces))
        return fused[..., columns] / weights[0].numel()


def attention_cams(
    weights: Tensor, traces: Sequence[BlockTrace], activation: Tensor
) -> tuple[Tensor, Tensor]:
    """Seed and fine CAMs (B, K, N) from traces without maps and the class maps (B, K, N)."""
    classes, total = activation.shape[1], weights[0].numel()
    class_attention = _weighted_sum(weights, (trace.rows(slice(classes)) for trace in traces))
    seed = class_attention[..., classes:] / total * activation
    values, patches = F.pad(seed, (classes, 0)).transpose(1, 2), slice(classes, None)
    fine = _weighted_sum(weights, (trace.mix(patches, values) for trace in traces)) / total
    return seed, fine.transpose(1, 2)


def _weighted_sum(weights: Tensor, parts: Iterable[Tensor]) -> Tensor:
    """Sum over heads and blocks of weights (B, heads, blocks) x parts (B, heads, i, j) by block."""
    sums = (
        torch.einsum('bh,bhij->bij', weights[:, :, block].to(part.dtype), part)
        for block, part in enumerate(parts)
    )
    return functools.reduce(Tensor.add_, sums)
