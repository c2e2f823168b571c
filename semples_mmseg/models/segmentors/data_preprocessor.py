"""Normalisation of images for training and for multi-scale CAM inference."""

from collections.abc import Sequence
from typing import Any

from mmseg.models import SegDataPreProcessor
from mmseg.registry import MODELS


class Scales(list):
    """The tensors (3, H, W) of one photo at several scales, told by type from a collated list."""


@MODELS.register_module()
class CAMDataPreprocessor(SegDataPreProcessor):
    """MMSeg's data preprocessor that also takes every image at several scales.

    With scales (``PackWeakInputs(scales=...)``) ``inputs`` becomes a list over scales of lists of
    normalised images (3, H, W), whose sizes may differ; else a batch, as in MMSeg.

    Args:
        mean: Mean of the channels R, G, B in 0..255, by default ImageNet's; ``None`` leaves the
            values as they are.
        std: Their standard deviation.
        bgr_to_rgb: Whether the images are loaded as B, G, R.
        size: Size that training images are padded to; ``None`` if they have one size already.
        non_blocking: Whether the program continues while pinned images are copied to a GPU.
    """

    def __init__(
        self,
        mean: Sequence[float] | None = (123.675, 116.28, 103.53),
        std: Sequence[float] | None = (58.395, 57.12, 57.375),
        bgr_to_rgb: bool = True,
        size: tuple[int, int] | None = None,
        non_blocking: bool = True,
        **kwargs: Any,
    ) -> None:
        # MMSeg needs one of the two.
        kwargs.setdefault('size_divisor', 1 if size is None else None)
        std = None if mean is None else std
        super().__init__(mean=mean, std=std, size=size, **kwargs)
        self.bgr_to_rgb = bgr_to_rgb
        self._non_blocking = non_blocking  # MMEngine's option, which MMSeg's class does not pass on

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Normalise a batch."""
        if isinstance(data['inputs'][0], (list, tuple)):
            scales, one = data['inputs'], self.forward
            if isinstance(scales[0], Scales):
                scales = zip(*scales, strict=True)
            inputs = [[one(dict(inputs=[image]))['inputs'][0] for image in some] for some in scales]
            return dict(inputs=inputs, data_samples=self.cast_data(data.get('data_samples')))
        data = self.cast_data(data)
        if self.bgr_to_rgb:
            # MMSeg's list of channels is copied to a GPU, which is waited for, with every image.
            data['inputs'] = [image.flip(0) for image in data['inputs']]
        return super().forward(data, training)
