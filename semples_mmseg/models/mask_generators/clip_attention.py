"""CLIP itself as a mask generator, trained by nothing: gradients refined by its attention."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from scipy import ndimage
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from ...utils.errors import Refusal
from ..clip.image_head import CLIPImageHead
from ..clip.loading import as_clip
from ..clip.patch_features import has_patch_tokens
from ..clip.text_head import CLIPTextHead
from ..soft_masks import min_max
from .protocol import GeneratorOutput

BACKGROUND = (
    *('grass', 'ground', 'sand', 'soil', 'snow', 'rock', 'mountain', 'tree', 'forest', 'sky'),
    *('cloud', 'sea', 'lake', 'river', 'water', 'road', 'street', 'railway', 'bridge', 'house'),
    *('building', 'wall', 'floor', 'fence'),
)
"""Words for what is no class; leave out those that name one of yours."""


@MODELS.register_module()
class CLIPAttentionGenerator(nn.Module):
    """Class activation maps of a frozen CLIP, a baseline (after CLIP-ES, arXiv 2212.09506).

    Z (N, D) are the patch tokens that enter the last block. The scores s are the softmax over the
    cosines, times CLIP's logit scale, of the image with sentences of the photo's classes and of
    background words. For a class c of the photo

        coarse = min-max of ReLU(Z w),  w = mean over patches of ds_c / dZ
        CAM    = min-max of B o (A A coarse),  A = (S + S^T) / 2

    S is the mean attention between patches of the last blocks, its rows and columns divided by
    their sums in turn, three times. B are the boxes around the connected parts of coarse > 0.4.

    A ResNet has one block, its attention pooling. Without tags the CAMs of all classes are made; a
    predicted ``coarse`` above 0 means that the image is more like the class than like any
    background word.

    Args:
        num_classes: K, object classes without background.
        class_names: Their names for CLIP; the segmentor fills them in.
        clip: A CLIP model or the config of one, see ``build_clip``: with a vision transformer
            or ResNet of open_clip's. Images have any size, and ImageNet's normalisation.
        template: Sentence with ``{}`` in place of a word.
        background: Background words.
        last_blocks: Number of blocks whose attention is used, at most all of them.
    """

    roles: ClassVar = dict(features=('image_head',), masks=('image_head',))
    zero_shot = True
    words: Tensor

    def __init__(
        self,
        num_classes: int,
        class_names: Sequence[str],
        clip: nn.Module | dict[str, Any],
        template: str = 'a clean origami {}.',
        background: Sequence[str] = BACKGROUND,
        last_blocks: int = 8,
    ) -> None:
        from open_clip.modified_resnet import ModifiedResNet
        from open_clip.transformer import ResidualAttentionBlock

        super().__init__()
        built: Any = as_clip(clip)
        self.num_classes, self.last_blocks = num_classes, last_blocks
        self.image_head = CLIPImageHead(built, streamline=False)
        visual = self.image_head.encoder.network
        blocks = visual.transformer.resblocks if has_patch_tokens(self.image_head) else [None]
        plain = all(isinstance(block, ResidualAttentionBlock) for block in blocks)
        self._resnet = isinstance(visual, ModifiedResNet)
        if not plain and not self._resnet:
            raise Refusal(
                f'model.mask_generator.clip: the image encoder {type(visual).__name__} is no plain '
                'vision transformer or ResNet of open_clip: take another model, such as ViT-B-16'
            )
        text_head = CLIPTextHead([*class_names, *background], built, template)
        self.register_buffer('words', text_head.class_features, persistent=False)
        self.logit_scale = float(built.logit_scale.exp())

    def forward(
        self, images: Tensor, detach_coarse: bool = False, labels: Tensor | None = None
    ) -> GeneratorOutput:
        """CAMs (B, K, h, w) in [0, 1] of the classes in ``labels`` (B, K); others are zero."""
        if self.training and torch.is_grad_enabled():
            raise Refusal(
                'CLIPAttentionGenerator is trained by nothing; it makes masks: '
                'tools/make_pseudo_masks.py CONFIG none'
            )
        if labels is None:
            labels = images.new_ones(len(images), self.num_classes)
        with torch.no_grad():
            tokens, attention, grid, feature = self._encode(images)
        for _ in range(3):
            attention = attention / attention.sum(2, keepdim=True)
            attention = attention / attention.sum(1, keepdim=True)
        affinity = (attention + attention.mT) / 2
        given = F.pad(labels > 0, (0, len(self.words) - self.num_classes), value=True)
        coarse = images.new_zeros(*labels.shape, *grid)
        with torch.enable_grad():
            tokens.requires_grad_()
            cosines = F.normalize(feature(tokens), dim=-1) @ self.words.T * self.logit_scale
            scores = cosines.masked_fill(~given, -torch.inf).softmax(-1).sum(0)
            for index in (labels > 0).any(0).nonzero().flatten().tolist():
                (slopes,) = torch.autograd.grad(scores[index], tokens, retain_graph=True)
                maps = (tokens.detach() * slopes.mean(1, keepdim=True)).sum(-1).relu()
                coarse[:, index] = min_max(maps.unflatten(1, grid), eps=1e-8)
        cams = (coarse.flatten(2) @ affinity @ affinity).unflatten(2, grid)
        cams = min_max(cams * boxes(coarse > 0.4), eps=1e-8)
        cosines = cosines.detach()
        logits = cosines[:, : self.num_classes] - cosines[:, self.num_classes :].amax(1, True)
        return GeneratorOutput(cams, dict(coarse=logits), affinity, coarse)

    def _encode(self, images: Tensor) -> tuple[Tensor, Tensor, list[int], Callable]:
        """Z (B, N, D), summed attention (B, N, N), the grid, and the feature (B, C) by Z."""
        visual: Any = self.image_head.encoder.network
        step, owner = (32, visual.attnpool) if self._resnet else (visual.patch_size[0], visual)
        grid = [max(round(side / step), 1) for side in images.shape[-2:]]
        images = images * self.image_head.scale + self.image_head.shift
        size = [side * step for side in grid]
        images = F.interpolate(images, size, mode='bicubic', antialias=True)
        places = resample_abs_pos_embed(owner.positional_embedding[None], grid)
        if self._resnet:
            for part in ('stem', 'layer1', 'layer2', 'layer3', 'layer4'):
                images = getattr(visual, part)(images)
            patches = images.flatten(2).mT
            tokens = torch.cat([patches.mean(1, keepdim=True), patches], 1) + places
            query, key = (
                proj(tokens).unflatten(2, (owner.num_heads, -1)).transpose(1, 2)
                for proj in (owner.q_proj, owner.k_proj)
            )
            attention = (query @ key.mT / query.shape[-1] ** 0.5).softmax(-1).mean(1)

            def pooled(patches: Tensor) -> Tensor:
                maps, own = patches.mT.unflatten(2, grid), dict(positional_embedding=places[0])
                return torch.func.functional_call(owner, own, (maps,))

            return patches, attention[:, 1:, 1:], grid, pooled
        patches = visual.conv1(images).flatten(2).mT
        first = visual.class_embedding.expand(len(images), 1, -1)
        tokens = visual.ln_pre(torch.cat([first, patches], 1) + places)
        attention, blocks = images.new_zeros(()), visual.transformer.resblocks
        for index, block in enumerate(blocks):
            entering, normed = tokens, block.ln_1(tokens)
            if index >= len(blocks) - self.last_blocks:
                attention = attention + block.attn(normed, normed, normed)[1]
            tokens = block(tokens)

        def read(patches: Tensor) -> Tensor:
            whole = blocks[-1](torch.cat([entering[:, :1], patches], 1))
            return visual._pool(whole)[0] @ visual.proj

        return entering[:, 1:].contiguous(), attention[:, 1:, 1:], grid, read


def boxes(high: Tensor) -> Tensor:
    """1 in the boxes around the connected parts of maps (B, K, h, w) of truth values, else 0."""
    found = np.zeros(high.shape, np.float32)
    for place in np.ndindex(high.shape[:2]):
        parts, _ = ndimage.label(high[place].cpu(), np.ones((3, 3)))
        for part in ndimage.find_objects(parts):
            found[place][part] = 1
    return torch.from_numpy(found).to(high.device)
