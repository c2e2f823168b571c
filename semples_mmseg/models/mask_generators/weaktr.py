"""WeakTr: class activation maps refined by the attention of a plain vision transformer."""

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...utils.errors import Refusal
from .attention_fusion import AdaptiveAttentionFusion, attention_cams
from .protocol import GeneratorOutput, gradients_if_trained


@MODELS.register_module()
class WeakTrGenerator(BaseModule):
    """Mask generator S of the paper (WeakTr, arXiv 2304.01184, section 3).

    All maps are (B, K, h, w):

    - coarse CAM: 3x3 convolution of the patch tokens;
    - seed CAM: class-to-patch part of the fused attention x ReLU(coarse CAM);
    - fine CAM: patch-to-patch part of the fused attention, applied to the seed CAM.

    The stages match and refine train only ``head`` and ``fusion``.

    Args:
        num_classes: K, object classes without background.
        backbone: Config of a ``MultiTokenViT``; ``num_cls_tokens`` is filled in.
        fusion: Options of ``AdaptiveAttentionFusion``.
        cam: The map that becomes ``cams``: ``'fine'``, ``'seed'`` or ``'coarse'``.
        init_cfg: MMEngine's initialisation, e.g.
            ``dict(type='Pretrained', checkpoint=..., prefix='mask_generator.')``.
    """

    roles: ClassVar = dict(features=('backbone',), masks=('head', 'fusion'))

    def __init__(
        self,
        num_classes: int,
        backbone: dict[str, Any],
        fusion: dict[str, Any] | None = None,
        cam: str = 'fine',
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if cam not in ('fine', 'seed', 'coarse'):
            raise Refusal(f"mask_generator.cam must be 'fine', 'seed' or 'coarse', got {cam!r}")
        self.cam = cam
        self.num_classes = num_classes
        self.backbone = MODELS.build(dict(backbone, num_cls_tokens=num_classes))
        width, heads = self.backbone.embed_dims, self.backbone.num_heads
        self.head = nn.Conv2d(width, num_classes, 3, padding=1)
        self.fusion = AdaptiveAttentionFusion(
            heads, self.backbone.num_layers, width // heads, **(fusion or {})
        )

    def forward(self, images: Tensor, detach_coarse: bool = False) -> GeneratorOutput:
        """The CAMs of images, see ``MaskGenerator``; predictions ``token``, ``coarse``, ``fine``.

        ``detach_coarse`` detaches the coarse CAM before the seed CAM: the fine prediction then
        trains only the fusion. The patch affinity is there where gradients are needed.
        """
        maps = torch.is_grad_enabled() and any(p.requires_grad for p in self.parameters())
        with gradients_if_trained(self.backbone):
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
            seed = class_attention * activation
            fine = torch.bmm(seed, affinity.transpose(1, 2))
        else:
            weights = self.fusion.head_weights([trace.features for trace in traces])
            seed, fine = attention_cams(weights, traces, activation)
        flat = dict(fine=fine, seed=seed, coarse=activation)
        cams = {name: value.unflatten(2, (height, width)) for name, value in flat.items()}
        logits = dict(
            token=tokens[:, :classes].mean(2),
            coarse=coarse.mean((2, 3)),
            fine=cams['fine'].mean((2, 3)),
        )
        return GeneratorOutput(cams[self.cam], logits, affinity, cams['coarse'], cams['seed'])
