"""Computing large photos at a smaller size."""

from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from ...utils.errors import Refusal
from ...utils.sizes import limited_size, resize_bicubic


@TRANSFORMS.register_module()
class LimitSide(BaseTransform):
    """Shrink photos whose long side is above a limit; others stay as they are.

    For prediction. The cost of attention grows with the square of the number of pixels: a photo of
    12 megapixels takes hours. The models of this package still return label maps of the original
    size. CAMs, logits and their refinement have the size of the smaller photo, ``limited_shape``
    (height and width) of the data sample.

    Args:
        max_side: Longest side in pixels.

    Raises:
        ValueError: If it is not positive.
    """

    def __init__(self, max_side: int) -> None:
        if max_side < 1:
            raise Refusal(f'LimitSide: max_side has to be positive, got {max_side}')
        self.max_side = max_side

    def transform(self, results: dict) -> dict:
        """Resize ``img`` (H, W, 3) by PIL's antialiased bicubic filter, if it is too large."""
        shape = results['img'].shape[:2]
        size = limited_size(shape, self.max_side)
        if size != shape:
            results['img'] = resize_bicubic(results['img'], size)
            results['img_shape'] = results['limited_shape'] = size
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(max_side={self.max_side})'
