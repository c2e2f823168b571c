"""The plain CAM: a 1x1 classifier on the feature map of any backbone."""

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...utils.errors import Refusal
from ...weights.hub import tell_licence
from .protocol import GeneratorOutput, gradients_if_trained


@MODELS.register_module()
class CAMGenerator(BaseModule):
    """Class activation maps of an image classifier (Zhou et al., 2016), of any backbone.

    The stages match and refine train ``head``.

    Args:
        num_classes: K, object classes without background.
        backbone: Config of a backbone that returns feature maps, e.g.
            ``dict(type='mmpretrain.ResNet', depth=50)`` or ``dict(type='mmpretrain.TIMMBackbone',
            model_name='resnet50', features_only=True)``; the last map is used.
        in_channels: Channels of that map; ``None`` measures them.
        img_size: Side of training images; the backbone is tried with one that is a little wider.
        size_divisor: Both sides are resized (bilinearly) to the nearest multiple of this.
    """

    roles: ClassVar = dict(features=('backbone',), masks=('head',))

    def __init__(
        self,
        num_classes: int,
        backbone: dict[str, Any],
        in_channels: int | None = None,
        img_size: int = 224,
        size_divisor: int = 1,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.num_classes = num_classes
        self.backbone = MODELS.build(backbone)
        self.size_divisor = size_divisor
        if backbone.get('pretrained') and hasattr(self.backbone, 'timm_model'):
            tell_licence(backbone['model_name'])
        self.backbone.eval()
        size = (img_size, img_size + size_divisor)  # photos are no squares
        try:
            with torch.no_grad():
                found = self._features(torch.zeros(1, 3, *size)).shape[1]
        except AssertionError as error:  # timm's transformers refuse sizes so
            raise Refusal(
                f'model.mask_generator.backbone: {type(self.backbone).__name__} takes no images of '
                f'{size} ({error}): set mask_generator.size_divisor to its patch, and '
                'dynamic_img_size=True of a transformer of timm (voc_cam_timm-vit.py)'
            ) from error
        self.backbone.train()
        self.head = nn.Conv2d(in_channels or found, num_classes, 1, bias=False)

    def _features(self, images: Tensor) -> Tensor:
        features = self.backbone(images)
        features = features[-1] if isinstance(features, (tuple, list)) else features
        if not isinstance(features, Tensor) or features.ndim != 4:
            raise Refusal(
                f'model.mask_generator.backbone: {type(self.backbone).__name__} returns no maps '
                "(B, C, h, w); transformers need out_type='featmap' (MMPretrain) or "
                'features_only=True (timm)'
            )
        return features

    def forward(self, images: Tensor, detach_coarse: bool = False) -> GeneratorOutput:
        """ReLU of the class maps (B, K, h, w), and their averages as the prediction ``coarse``."""
        divisor = self.size_divisor
        size = [max(round(side / divisor), 1) * divisor for side in images.shape[-2:]]
        if size != [*images.shape[-2:]]:
            images = F.interpolate(images, size, mode='bilinear', align_corners=False)
        with gradients_if_trained(self.backbone):
            features = self._features(images)
        maps = self.head(features)
        cams = F.relu(maps)
        return GeneratorOutput(cams, dict(coarse=maps.mean((2, 3))), coarse=cams)
