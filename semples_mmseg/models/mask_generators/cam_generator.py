"""The plain CAM: a 1x1 classifier on the feature map of any backbone."""

from typing import Any, ClassVar

import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from .protocol import GeneratorOutput, gradients_if_trained


@MODELS.register_module()
class CAMGenerator(BaseModule):
    """Class activation maps of a convolutional classifier (Zhou et al., 2016).

    The stages match and refine train ``head``.

    Args:
        num_classes: K, object classes without background.
        backbone: Config of a backbone that returns feature maps, e.g.
            ``dict(type='mmpretrain.ResNet', depth=50)`` or ``dict(type='mmpretrain.TIMMBackbone',
            model_name='resnet50', features_only=True)``; the last map is used.
        in_channels: Channels of that map.
        init_cfg: MMEngine's initialisation.
    """

    roles: ClassVar = dict(features=('backbone',), masks=('head',))

    def __init__(
        self,
        num_classes: int,
        backbone: dict[str, Any],
        in_channels: int,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.num_classes = num_classes
        self.backbone = MODELS.build(backbone)
        self.head = nn.Conv2d(in_channels, num_classes, 1, bias=False)

    def forward(self, images: Tensor, detach_coarse: bool = False) -> GeneratorOutput:
        """Compute CAMs and the image-level prediction.

        Args:
            images: (B, 3, H, W), ImageNet-normalised.
            detach_coarse: Not used, because there is only one map.

        Returns:
            ReLU of the class maps (B, K, h, w) and their averages as prediction ``coarse``.
        """
        with gradients_if_trained(self.backbone):
            features = self.backbone(images)
        features = features[-1] if isinstance(features, (tuple, list)) else features
        maps = self.head(features)
        cams = F.relu(maps)
        return GeneratorOutput(cams, dict(coarse=maps.mean((2, 3))), coarse=cams)
