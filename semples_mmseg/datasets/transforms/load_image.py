"""Loading images that may be damaged or made to do damage."""

from mmcv.transforms import LoadImageFromFile
from mmseg.registry import TRANSFORMS

from ...utils.images import decode_image, read_image_bytes


# MMSegInferencer looks for this name in the test pipeline, so another one would shut it out. MMCV
# registers its own for all of OpenMMLab; this one is found first in MMSeg's scope.
@TRANSFORMS.register_module(name='LoadImageFromFile')
class LoadCheckedImage(LoadImageFromFile):
    """MMCV's ``LoadImageFromFile`` that trusts no file, where Pillow decodes.

    With ``imdecode_backend='pillow'`` and colour (``color_type`` ``'color'`` or
    ``'color_ignore_orientation'``), as in all configs of this package, the number of pixels is
    checked before anything is decoded, a truncated file is an error, 16-bit images keep their
    greys, and pipes, animations and formats that are no photographs are refused:
    :mod:`semples_mmseg.utils.images`. Pixels of good files are MMCV's. A photograph whose EXIF
    data say that it lies on its side is turned, so masks are those of the upright picture.

    With other backends it is MMCV's transform, unchanged.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no whole image, or too large; the message names it.
    """

    def transform(self, results: dict) -> dict | None:
        """Load the image of ``img_path``.

        Args:
            results: An item with ``img_path``.

        Returns:
            The item with ``img`` (H, W, 3) BGR, ``img_shape`` and ``ori_shape``.
        """
        ours = ('color', 'color_ignore_orientation')
        if self.imdecode_backend != 'pillow' or self.color_type not in ours:
            return super().transform(results)
        path = results['img_path']
        try:
            content = read_image_bytes(path, backend_args=self.backend_args)
            image = decode_image(content, path, upright=self.color_type == 'color', rgb=False)
        except Exception:
            if self.ignore_empty:
                return None
            raise
        results['img'] = image.astype('float32') if self.to_float32 else image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results
