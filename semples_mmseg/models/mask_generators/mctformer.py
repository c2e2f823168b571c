"""MCTformer: patch CAMs times the attention of class tokens, refined by patch affinity."""

from typing import Any, ClassVar

import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...utils.errors import Refusal
from .attention_fusion import attention_cams
from .protocol import GeneratorOutput, gradients_if_trained


@MODELS.register_module()
class MCTformerGenerator(BaseModule):
    """Multi-class token transformer with patch CAM (MCTformer-V2, arXiv 2203.02891, section 3).

    The attention of the last blocks is averaged over blocks and heads. The maps (B, K, h, w) are

    - the patch CAM: 3x3 convolution of the patch tokens, ReLU;
    - the seed CAM: class-to-patch attention x patch CAM;
    - the fine CAM, of which masks are made: patch-to-patch attention applied to the seed CAM.

    Match and refine train the convolution ``head`` alone.

    Args:
        num_classes: K, object classes without background.
        backbone: Config of a ``MultiTokenViT``; ``num_cls_tokens`` is filled in.
        last_blocks: Number of last blocks whose attention is used (3 in the paper).
    """

    roles: ClassVar = dict(features=('backbone',), masks=('head',))

    def __init__(
        self,
        num_classes: int,
        backbone: dict[str, Any],
        last_blocks: int = 3,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.num_classes = num_classes
        self.backbone = MODELS.build(dict(backbone, num_cls_tokens=num_classes))
        if not 1 <= last_blocks <= self.backbone.num_layers:
            raise Refusal(
                f'mask_generator.last_blocks must be 1 to {self.backbone.num_layers}, the blocks '
                f'of the backbone, got {last_blocks}'
            )
        self.last_blocks = last_blocks
        self.head = nn.Conv2d(self.backbone.embed_dims, num_classes, 3, padding=1)

    def forward(self, images: Tensor, detach_coarse: bool = False) -> GeneratorOutput:
        """The CAMs of images, and the predictions ``token`` (its mean) and ``coarse``."""
        with gradients_if_trained(self.backbone):
            tokens, grid, traces = self.backbone(images, maps=False)
        classes = self.num_classes
        coarse = self.head(tokens[:, classes:].transpose(1, 2).unflatten(2, grid))
        activation = F.relu(coarse)
        last = traces[-self.last_blocks :]
        uniform = tokens.new_ones(len(tokens), self.backbone.num_heads, len(last))
        seed, fine = attention_cams(uniform, last, activation.flatten(2))
        return GeneratorOutput(
            cams=fine.unflatten(2, grid),
            logits=dict(token=tokens[:, :classes].mean(2), coarse=coarse.mean((2, 3))),
            coarse=activation,
            seed=seed.unflatten(2, grid),
        )
