"""Loading photos: complete or with an error that names the file."""

from typing import Any

from mmcv.transforms import LoadImageFromFile
from mmseg.registry import TRANSFORMS

from ...utils.errors import Refusal
from ...utils.files import read_bytes
from ...utils.images import decode_image


@TRANSFORMS.register_module()
class LoadCheckedImage(LoadImageFromFile):
    """MMCV's ``LoadImageFromFile`` with Pillow, which refuses what it cannot decode completely.

    A truncated file is an error, 16-bit images keep their greys, and animations and files larger
    than ``SEMPLES_MAX_PIXELS`` are refused: ``semples_mmseg.utils.images``. Pixels of other
    files are those of MMCV. Photos are rotated by their EXIF orientation, so masks have to match
    the upright picture.

    Args:
        color_type: ``'color'``, or ``'color_ignore_orientation'``, which does not rotate photos.
        imdecode_backend: ``'pillow'``.
        **kwargs: See ``mmcv.transforms.LoadImageFromFile``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a complete image, or too large; the message names it.
    """

    def __init__(
        self, color_type: str = 'color', imdecode_backend: str = 'pillow', **kwargs: Any
    ) -> None:
        if imdecode_backend != 'pillow':
            raise Refusal(f"LoadCheckedImage needs 'pillow', got {imdecode_backend=}")
        if color_type not in ('color', 'color_ignore_orientation'):
            raise Refusal(f'LoadCheckedImage loads colours, got {color_type=}')
        super().__init__(color_type=color_type, imdecode_backend=imdecode_backend, **kwargs)

    def transform(self, results: dict) -> dict | None:
        """Load the image of ``img_path``.

        Args:
            results: An item with ``img_path``.

        Returns:
            The item with ``img`` (H, W, 3) BGR, ``img_shape`` and ``ori_shape``.
        """
        path = results['img_path']
        try:
            content = read_bytes(path, 'image', self.backend_args)
            image = decode_image(content, path, upright=self.color_type == 'color', rgb=False)
        except Exception:
            if self.ignore_empty:
                return None
            raise
        results['img'] = image.astype('float32') if self.to_float32 else image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results
