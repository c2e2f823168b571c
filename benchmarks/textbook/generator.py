"""WeakTr's forward pass as published: all attention maps and features collected, then fused."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from semples_mmseg.models import WeakTrGenerator


class Predictions(NamedTuple):
    """What the generator returns: fine CAM (B, K, h, w), and three predictions (B, K)."""

    cams: Tensor
    token: Tensor
    coarse: Tensor
    fine: Tensor


def generate(generator: WeakTrGenerator, images: Tensor) -> Predictions:
    """Run a generator in the stages match, prompt and refine.

    Args:
        generator: Gives weights and settings; none of its forward passes is called.
        images: (B, 3, H, W), normalised.
    """
    backbone, classes = generator.backbone, generator.num_classes
    patches, (height, width) = backbone.patch_embed(images)
    tokens = torch.cat([backbone.cls_token.expand(len(images), -1, -1), patches], 1)
    size = (images.shape[-2], images.shape[-1])
    tokens = tokens + backbone.position_embedding(size, (height, width))

    attentions, features = [], []
    for block in backbone.layers:
        attn = block.attn
        qkv = attn.qkv(block.ln1(tokens)).unflatten(-1, (3, attn.num_heads, attn.head_dims))
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        attention = (query @ key.transpose(-2, -1) * attn.head_dims**-0.5).softmax(-1)
        branch = attn.proj((attention @ value).transpose(1, 2).flatten(2))
        tokens = tokens + attn.out_drop(branch)
        tokens = block.ffn(block.ln2(tokens), identity=tokens)
        attentions.append(attention)
        features.append(branch)

    fused = _fuse(generator, attentions, features)
    class_attention = fused[:, :classes, classes:].unflatten(2, (height, width))
    affinity = fused[:, classes:, classes:]
    grid = tokens[:, classes:].transpose(1, 2).unflatten(2, (height, width))
    coarse = generator.head(grid.detach())
    seed = class_attention * F.relu(coarse)
    fine = (affinity @ seed.flatten(2).transpose(1, 2)).transpose(1, 2)
    return Predictions(
        cams=fine.unflatten(2, (height, width)),
        token=tokens[:, :classes].mean(2),
        coarse=coarse.mean((2, 3)),
        fine=fine.mean(2),
    )


def _fuse(generator: WeakTrGenerator, attentions: list[Tensor], features: list[Tensor]) -> Tensor:
    """Adaptive attention fusion over heads x blocks maps, head-major: (B, T, T)."""
    fusion, heads = generator.fusion, generator.backbone.num_heads
    # channel j is position j div heads of group j mod heads
    groups = [f.unflatten(2, (-1, heads)).permute(0, 3, 1, 2) for f in features]
    stacked = torch.stack(groups, 2).flatten(1, 2).detach()  # (B, heads * blocks, T, C / heads)
    pooled = stacked.amax(2) if fusion.pooling == 'max' else stacked.mean(2)
    weights = fusion.attn_head_ffn(fusion.attn_feat_ffn(pooled).squeeze(2))
    maps = torch.stack(attentions, 2).flatten(1, 2).detach()  # (B, heads * blocks, T, T)
    return (weights[:, :, None, None] * maps).mean(1)
