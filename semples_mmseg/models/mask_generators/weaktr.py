"""WeakTr: class activation maps refined by the attention of a plain vision transformer."""

import contextlib
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from .attention_fusion import AdaptiveAttentionFusion
from .output import GeneratorOutput


@MODELS.register_module()
class WeakTrGenerator(BaseModule):
    """Mask generator S of the paper (WeakTr, arXiv 2304.01184, section 3).

    ========== ======================================================== ================
    map        made of                                                  shape
    ========== ======================================================== ================
    coarse CAM 3x3 convolution on the patch tokens                      (B, K, h, w)
    seed CAM   class -> patch part of the fused attention x ReLU(coarse)  (B, K, h, w)
    fine CAM   patch -> patch part of the fused attention, applied to it  (B, K, h, w)
    ========== ======================================================== ================

    With a frozen backbone (stages match and refine of SemPLeS: only ``head`` and ``fusion``
    train) the backbone runs without gradients, so its features reach the head detached. Where no
    gradient is asked for at all, as in prediction, attention is never written out: a seed CAM
    takes the place of the values in a second fused attention.

    Args:
        num_classes: K, object classes without background.
        backbone: Config of a :class:`MultiTokenViT`; ``num_cls_tokens`` is filled in.
        fusion: Options of :class:`AdaptiveAttentionFusion`: ``reduction``,
            ``feature_reduction``, ``pooling``.
        init_cfg: Initialisation, as everywhere in MMEngine; e.g.
            ``dict(type='Pretrained', checkpoint=..., prefix='mask_generator.')``.
    """

    def __init__(
        self,
        num_classes: int,
        backbone: dict[str, Any],
        fusion: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.num_classes = num_classes
        self.backbone = MODELS.build(dict(backbone, num_cls_tokens=num_classes))
        width, heads = self.backbone.embed_dims, self.backbone.num_heads
        self.head = nn.Conv2d(width, num_classes, 3, padding=1)
        self.fusion = AdaptiveAttentionFusion(
            heads, self.backbone.num_layers, width // heads, **(fusion or {})
        )

    def forward(self, images: Tensor, detach_coarse: bool = False) -> GeneratorOutput:
        """Compute CAMs and image-level predictions.

        Args:
            images: (B, 3, H, W), ImageNet-normalised.
            detach_coarse: Whether the seed CAM is made of the detached coarse CAM: so in stage 0,
                where the fine prediction trains the fusion alone; not in SemPLeS.

        Returns:
            Fine CAMs; the predictions ``token``, ``coarse`` and ``fine``; where gradients are asked
            for, the patch affinity.
        """
        maps = torch.is_grad_enabled() and any(p.requires_grad for p in self.parameters())
        trains = any(parameter.requires_grad for parameter in self.backbone.parameters())
        with contextlib.nullcontext() if trains else torch.no_grad():
            tokens, (height, width), traces = self.backbone(images, maps)
        classes = self.num_classes
        patches = tokens[:, classes:].transpose(1, 2).unflatten(2, (height, width))
        coarse = self.head(patches)
        activation = F.relu(coarse.detach() if detach_coarse else coarse).flatten(2)

        # fine[b, k, q] = sum over patches p of affinity[b, q, p] seed[b, k, p]
        affinity = None
        if maps:
            fused = self.fusion(traces, columns=slice(classes, None))
            class_attention, affinity = fused[:, :classes], fused[:, classes:]
            fine = torch.bmm(class_attention * activation, affinity.transpose(1, 2))
        else:
            weights = self.fusion.head_weights([trace.features for trace in traces])
            class_rows, patch_rows = slice(classes), slice(classes, None)
            class_attention = self.fusion.rows(weights, traces, class_rows)[..., classes:]
            seed = F.pad(class_attention * activation, (classes, 0)).transpose(1, 2)
            fine = self.fusion.product(weights, traces, patch_rows, seed).transpose(1, 2)
        fine = fine.unflatten(2, (height, width))
        return GeneratorOutput(
            cams=fine,
            logits=dict(
                token=tokens[:, :classes].mean(2),
                coarse=coarse.mean((2, 3)),
                fine=fine.mean((2, 3)),
            ),
            affinity=affinity,
        )
