"""The vision transformer of WeakTr: one class token per class; attention is returned."""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer
from mmpretrain.models.backbones.vision_transformer import VisionTransformer as _VisionTransformer
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...utils.errors import Refusal


class BlockTrace(NamedTuple):
    """What a transformer block returns beside its tokens.

    Attributes:
        attention: (B, heads, K + N, K + N), rows sum to one; after softmax, before dropout.
            ``None`` without maps; then ``query`` and ``key`` (B, heads, K + N, C / heads) are set.
        features: (B, K + N, C), output of the attention branch after its projection.
    """

    attention: Any
    features: Tensor
    query: Any = None
    key: Any = None

    def rows(self, queries: slice) -> Tensor:
        """Rows (B, heads, Q, K + N) of the attention of a trace without maps."""
        return _attention_map(self.query[:, :, queries], self.key)

    def mix(self, queries: slice, values: Tensor) -> Tensor:
        """(B, heads, Q, n): rows of the attention times values (B, K + N, n); no map is formed."""
        # Fused attention needs values of C / heads channels.
        width, mixed = self.key.shape[-1], []
        for some in values.to(self.key.dtype).split(width, dim=-1):
            padded = F.pad(some, (0, width - some.shape[-1]))
            padded = padded[:, None].expand(-1, self.key.shape[1], -1, -1)
            spread = F.scaled_dot_product_attention(self.query[:, :, queries], self.key, padded)
            mixed.append(spread[..., : some.shape[-1]])
        return torch.cat(mixed, dim=-1)


def _run_block(
    block: TransformerEncoderLayer, tokens: Tensor, maps: bool
) -> tuple[Tensor, BlockTrace]:
    """Run a block of MMPretrain's, with (``maps``) or without forming its attention matrix."""
    attn = block.attn
    batch, length, width = tokens.shape
    qkv = attn.qkv(block.ln1(tokens)).reshape(batch, length, 3, attn.num_heads, attn.head_dims)
    query, key, value = qkv.permute(2, 0, 3, 1, 4)
    attention: Tensor | None = None
    if maps:
        attention = _attention_map(query, key)
        mixed = F.dropout(attention, attn.attn_drop, attn.training) @ value
    else:
        dropout = attn.attn_drop if attn.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
    mixed = mixed.transpose(1, 2).reshape(batch, length, width)
    features = attn.gamma1(attn.proj_drop(attn.proj(mixed)))
    tokens = tokens + attn.out_drop(features)
    trace = BlockTrace(attention, features, *(() if maps else (query, key)))
    return block.ffn(block.ln2(tokens), identity=tokens), trace


def _attention_map(query: Tensor, key: Tensor) -> Tensor:
    """Attention (B, heads, Q, T) of queries (B, heads, Q, d) to keys (B, heads, T, d)."""
    scores = query * query.shape[-1] ** -0.5 @ key.transpose(-2, -1)
    # Under autocast the softmax is float32, and the next operation casts it again.
    return scores.softmax(-1).to(key.dtype)


@MODELS.register_module()
class MultiTokenViT(_VisionTransformer):
    """MMPretrain's vision transformer with K class tokens and traced blocks (WeakTr, section 3.1).

    Key names are MMPretrain's. From a checkpoint with a single class token (ImageNet DeiT) that
    token and its position embedding are repeated K times. Position embeddings of another grid are
    resized bicubically.

    The final layer normalisation of DeiT is not applied. The grid is floor(H / patch) x
    floor(W / patch).

    Args:
        num_cls_tokens: K, one token per object class.
        arch: MMPretrain's name of the size, or a dict with ``embed_dims``, ``num_layers``,
            ``num_heads`` and ``feedforward_channels``.
        img_size: Side of the square training images in pixels; sets the position embeddings.
        patch_size: Side of a patch in pixels.
        drop_path_rate: Stochastic depth of the last block; it rises linearly from 0.
        layer_scale: Initial value of the scales after attention and MLP (DINOv2: 1e-5); 0 for none.
        patch_cfg: Options of the patch embedding, e.g. ``dict(conv_type='ConvStem')``.
    """

    def __init__(
        self,
        num_cls_tokens: int,
        arch: str | dict[str, int] = 'deit-small',
        img_size: int = 224,
        patch_size: int = 16,
        drop_path_rate: float = 0.1,
        layer_scale: float = 0.0,
        patch_cfg: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            arch=arch,
            img_size=img_size,
            patch_size=patch_size,
            drop_path_rate=drop_path_rate,
            layer_scale_init_value=layer_scale,
            final_norm=False,
            out_type='raw',
            patch_cfg=dict(padding=0, **(patch_cfg or {})),
            init_cfg=init_cfg,
        )
        self.num_cls_tokens = self.num_extra_tokens = num_cls_tokens
        self.patch_size = patch_size
        self.num_heads: int = self.arch_settings['num_heads']
        patches = self.patch_resolution[0] * self.patch_resolution[1]
        self.cls_token = nn.Parameter(torch.zeros(1, num_cls_tokens, self.embed_dims))
        self.pos_embed = nn.Parameter(torch.zeros(1, num_cls_tokens + patches, self.embed_dims))
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def position_embedding(self, image_size: tuple[int, int], grid: tuple[int, int]) -> Tensor:
        """Position embeddings (1, K + h * w, C) for a grid (h, w) of patches."""
        trained = self.patch_resolution
        if image_size[0] == image_size[1] and tuple(grid) == tuple(trained):
            return self.pos_embed
        tokens, patches = self.pos_embed.tensor_split([self.num_cls_tokens], dim=1)
        plane = patches.reshape(1, *trained, -1).permute(0, 3, 1, 2).float()
        # Published checkpoints were trained so; the factor also sets the sample coordinates.
        scale = (grid[0] + 0.1) / trained[0], (grid[1] + 0.1) / trained[1]
        plane = F.interpolate(plane, scale_factor=scale, mode='bicubic', align_corners=False)
        return torch.cat([tokens, plane.flatten(2).transpose(1, 2).to(tokens.dtype)], dim=1)

    def forward(
        self, x: Tensor, maps: bool = True
    ) -> tuple[Tensor, tuple[int, int], list[BlockTrace]]:
        """Encode normalised images (B, 3, H, W); without ``maps`` attention is fused, and faster.

        Returns:
            The tokens (B, K + h * w, C), class tokens first; the grid (h, w); one trace per block.
        """
        if min(x.shape[-2:]) < self.patch_size:  # one patch has to fit
            size = [max(side, self.patch_size) for side in x.shape[-2:]]
            x = F.interpolate(x, size, mode='bilinear', align_corners=False)
        patches, grid = self.patch_embed(x)
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), patches], dim=1)
        tokens = tokens + self.position_embedding((x.shape[-2], x.shape[-1]), grid)
        tokens = self.pre_norm(self.drop_after_pos(tokens))
        traces = []
        for block in self.layers:
            tokens, trace = _run_block(block, tokens, maps)
            traces.append(trace)
        return tokens, grid, traces

    def _prepare_pos_embed(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        """Fit class tokens and position embeddings of a checkpoint before they are loaded."""
        token_key, position_key = prefix + 'cls_token', prefix + 'pos_embed'
        if token_key not in state_dict or position_key not in state_dict:
            return
        found = state_dict[token_key].shape[1]
        if found not in (1, self.num_cls_tokens):
            raise Refusal(
                f'the checkpoint has {found} class tokens at {token_key!r}, this model '
                f'{self.num_cls_tokens} classes: load one of these classes, or of ImageNet'
            )
        if found != self.num_cls_tokens:
            state_dict[token_key] = state_dict[token_key].repeat(1, self.num_cls_tokens, 1)
            first, patches = state_dict[position_key].tensor_split([1], dim=1)
            first = first.repeat(1, self.num_cls_tokens, 1)
            state_dict[position_key] = torch.cat([first, patches], dim=1)
        super()._prepare_pos_embed(state_dict, prefix, *args)
