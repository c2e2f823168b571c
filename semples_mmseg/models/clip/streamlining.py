"""Frozen networks of open_clip, rewritten to compute what they did with less work.

The weights are those of the network, or folded from them, so a rewritten network must neither be
trained nor saved.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from open_clip.transformer import QuickGELU, ResidualAttentionBlock, VisionTransformer
from torch import Tensor, nn

_QUICK_GELU_SCALE = 1.702


class FrozenBlock(nn.Module):
    """A residual attention block on (n, L, C), with fused attention on contiguous tokens.

    Args:
        block: Of open_clip, batch first; its modules are reused.
    """

    def __init__(self, block: ResidualAttentionBlock) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = block.ln_1, block.ln_2
        self.ls_1, self.ls_2 = block.ls_1, block.ls_2
        self.attn, self.mlp = block.attn, block.mlp
        if isinstance(self.mlp.gelu, QuickGELU):
            _fold_quick_gelu(self.mlp)

    def get_weight_dtype(self) -> torch.dtype:
        """In which dtype the block computes; open_clip's transformers ask their first one."""
        return self.mlp.c_fc.weight.dtype

    def _heads(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(-1, (self.attn.num_heads, -1)).transpose(1, 2)

    def _finish(self, tokens: Tensor, mixed: Tensor) -> Tensor:
        """What follows the attention: (n, l, C) from the block's input there and (n, h, l, d)."""
        tokens = tokens + self.ls_1(self.attn.out_proj(mixed.transpose(1, 2).flatten(2)))
        return tokens + self.ls_2(self.mlp(self.ln_2(tokens)))

    def forward(self, tokens: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        """Run the block.

        Args:
            tokens: (n, L, C).
            attn_mask: (L, L), added to the scores.

        Returns:
            (n, L, C).
        """
        projected = F.linear(self.ln_1(tokens), self.attn.in_proj_weight, self.attn.in_proj_bias)
        query, key, value = map(self._heads, projected.chunk(3, dim=-1))
        mask = None if attn_mask is None else attn_mask.to(query.dtype)
        return self._finish(tokens, F.scaled_dot_product_attention(query, key, value, mask))

    def read(self, tokens: Tensor, positions: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        """Run the block for one token of each row: what :meth:`forward` has there.

        Args:
            tokens: (n, L, C).
            positions: (n,), of the tokens wanted.
            attn_mask: (L, L), added to the scores.

        Returns:
            (n, C).
        """
        rows = torch.arange(len(tokens), device=tokens.device)
        normed = self.ln_1(tokens)
        weights = self.attn.in_proj_weight.split([tokens.shape[-1], 2 * tokens.shape[-1]])
        biases = self.attn.in_proj_bias.split([tokens.shape[-1], 2 * tokens.shape[-1]])
        query = self._heads(F.linear(normed[rows, positions], weights[0], biases[0])[:, None])
        key, value = map(self._heads, F.linear(normed, weights[1], biases[1]).chunk(2, dim=-1))
        mask = None
        if attn_mask is not None:
            mask = attn_mask[positions][:, None, None].to(query.dtype)
        mixed = F.scaled_dot_product_attention(query, key, value, mask)
        return self._finish(tokens[rows, positions][:, None], mixed)[:, 0]


class _FirstToken(nn.Module):
    """A last block of which only the first token is wanted."""

    def __init__(self, block: FrozenBlock) -> None:
        super().__init__()
        self.block = block

    def forward(self, tokens: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        """(n, 1, C) from (n, L, C)."""
        first = torch.zeros(len(tokens), dtype=torch.long, device=tokens.device)
        return self.block.read(tokens, first, attn_mask)[:, None]


class _PatchProduct(nn.Module):
    """A convolution whose stride is its kernel, as a matrix product.

    With respect to its input, a convolution of few channels and large kernel is slow.

    Args:
        convolution: Without bias, padding, dilation and groups.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.patch_size = convolution.kernel_size
        self.weight = nn.Parameter(convolution.weight.flatten(1).contiguous())

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, h, w) from (B, 3, H, W); borders that fill no patch are left out."""
        height, width = self.patch_size
        patches = images.unfold(2, height, height).unfold(3, width, width)  # (B, 3, h, w, ., .)
        tokens = F.linear(patches.permute(0, 2, 3, 1, 4, 5).flatten(3), self.weight)
        return tokens.permute(0, 3, 1, 2)


def read_tokens(
    block: nn.Module, tokens: Tensor, positions: Tensor, attn_mask: Tensor | None
) -> Tensor:
    """Tokens (n, C) at positions (n,) of what a last block makes of tokens (n, L, C)."""
    if isinstance(block, FrozenBlock):
        return block.read(tokens, positions, attn_mask)
    return block(tokens, attn_mask=attn_mask)[torch.arange(len(tokens)), positions]


@torch.no_grad()
def streamline(network: nn.Module) -> Any:
    """Rewrite a frozen network of open_clip where that saves work.

    - Attention and MLP of the usual blocks: see :class:`FrozenBlock`. x sigmoid(1.702 x) =
      SiLU(1.702 x) / 1.702, so the scale of QuickGELU goes into the layers around it: one pass
      over memory instead of three, and one tensor kept for the backward pass instead of two.
    - The patches of a vision transformer: a matrix product.
    - The last block of one that is read at its class token: for this token alone.
    - Convolutional networks: weights in channels-last order.

    What it does not know (blocks of other kinds, other ways of pooling) stays as it is.

    Args:
        network: Either side of an open_clip model; changed in place, its weights too.

    Returns:
        The same network.
    """
    transformer = getattr(network, 'transformer', None)
    blocks: Any = getattr(transformer, 'resblocks', ())
    for index, block in enumerate(blocks):
        if type(block) is ResidualAttentionBlock and block.attn.batch_first:
            blocks[index] = FrozenBlock(block)
    if isinstance(network, VisionTransformer):
        network.conv1 = _PatchProduct(network.conv1)
        only_first = network.pool_type == 'tok' and network.attn_pool is None
        if only_first and not network.output_tokens and isinstance(blocks[-1], FrozenBlock):
            blocks[-1] = _FirstToken(blocks[-1])
    return network.to(memory_format=torch.channels_last)


def _fold_quick_gelu(mlp: Any) -> None:
    mlp.c_fc.weight.mul_(_QUICK_GELU_SCALE)
    mlp.c_fc.bias.mul_(_QUICK_GELU_SCALE)
    mlp.c_proj.weight.div_(_QUICK_GELU_SCALE)
    mlp.gelu = nn.SiLU()
