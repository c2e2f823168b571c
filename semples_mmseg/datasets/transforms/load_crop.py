"""Loading a random crop of a photo, chosen before the photo is decoded."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmpretrain.datasets.transforms import RandomResizedCrop
from mmseg.registry import TRANSFORMS

from ...utils.errors import Refusal
from ...utils.files import read_bytes
from ...utils.images import decode_crop
from .load_image import LoadCheckedImage


@TRANSFORMS.register_module()
class LoadRandomCrop(LoadCheckedImage):
    """``LoadCheckedImage`` and MMPretrain's ``RandomResizedCrop`` in one.

    The crop is drawn from the size in the file's header, with the same random numbers. A JPEG
    file whose crop is at least twice, four or eight times as large as the output is decoded at a
    half, a quarter or an eighth of its size. Otherwise the pixels are those of the two transforms
    (with Pillow's filters), up to rounding.

    Args:
        crop: Options of ``mmpretrain.RandomResizedCrop``; ``backend`` has to be ``'pillow'`` and
            ``interpolation`` ``'bilinear'`` or ``'bicubic'``.
        **kwargs: Options of ``LoadCheckedImage``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a complete image, or too large; the message names it.
    """

    def __init__(self, crop: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.crop = RandomResizedCrop(**crop)
        mode = self.crop.interpolation
        if self.crop.backend != 'pillow' or mode not in ('bilinear', 'bicubic'):
            raise Refusal(
                "LoadRandomCrop resizes as Pillow does: it needs a crop with backend='pillow' and "
                f"interpolation='bilinear' or 'bicubic', not {self.crop.backend} and {mode}"
            )

    def transform(self, results: dict) -> dict | None:
        """Load a crop of the image of ``img_path``.

        Args:
            results: An item with ``img_path``.

        Returns:
            The item with ``img`` (h, w, 3) BGR, ``img_shape``, and ``ori_shape`` of the photo.
        """
        path = results['img_path']

        def draw(height: int, width: int) -> tuple[int, int, int, int]:
            results['ori_shape'] = height, width
            # Only the size is used.
            return self.crop.rand_crop_params(np.broadcast_to(np.uint8(0), (height, width, 3)))

        try:
            content = read_bytes(path, 'image', self.backend_args)
            upright = self.color_type == 'color'
            part = decode_crop(content, path, draw, tuple(self.crop.scale), upright)
        except Exception:
            if self.ignore_empty:
                return None
            raise
        planes = torch.from_numpy(part).permute(2, 0, 1)[None]
        # On bytes this is Pillow's filter, in half of Pillow's time.
        resized = F.interpolate(
            planes, tuple(self.crop.scale), mode=self.crop.interpolation, antialias=True
        )
        image = resized[0].permute(1, 2, 0).numpy()[:, :, ::-1]
        results['img'] = image.astype('float32') if self.to_float32 else image
        results['img_shape'] = image.shape[:2]
        return results
