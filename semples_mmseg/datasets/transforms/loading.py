"""Loading photos and masks: complete, or with an error that names the file."""

from typing import Any

from mmcv.transforms import LoadImageFromFile
from mmseg.datasets import LoadAnnotations
from mmseg.registry import TRANSFORMS

from ...utils.errors import Refusal
from ...utils.files import read_bytes
from ...utils.images import decode_image
from ...utils.label_png import decode_mask
from ..checks import difference, renamed_ids


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


@TRANSFORMS.register_module()
class LoadCheckedAnnotations(LoadAnnotations):
    """MMSeg's ``LoadAnnotations`` for 8-bit palette or grey PNG files with one class id per pixel.

    Other masks are refused, because MMSeg keeps only the lower 8 of 16 bits and takes colours for
    ids. Damaged masks are refused too, and masks whose size is not that of the loaded image, which
    transforms resize without a message.

    An item without a mask passes unchanged, so the pipeline of evaluation also works for inference.
    The data sets of this package check that no mask is missing.

    Args:
        reduce_zero_label: See ``mmseg.datasets.LoadAnnotations``, as for ``backend_args``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not the mask of the image; both are named.
    """

    def transform(self, results: dict) -> dict:
        """Load the mask of ``seg_map_path``, if there is one.

        Args:
            results: An item; with ``ori_shape`` if its image is loaded.

        Returns:
            The item with ``gt_seg_map``, uint8 (H, W).
        """
        path = results.get('seg_map_path')
        if path is None:
            return results
        mask = decode_mask(read_bytes(path, 'mask', self.backend_args), path)
        size = tuple(results.get('ori_shape', mask.shape)[:2])
        if mask.shape != size:
            raise Refusal(
                f'mask {path} does not fit its image {results.get("img_path")}: '
                f'{difference(mask.shape, size)}'
            )
        renamed = renamed_ids(
            self.reduce_zero_label or results.get('reduce_zero_label'), results.get('label_map')
        )
        results['gt_seg_map'] = mask if renamed is None else renamed[mask]
        results.setdefault('seg_fields', []).append('gt_seg_map')
        return results
