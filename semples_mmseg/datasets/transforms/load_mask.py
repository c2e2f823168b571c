"""Loading masks with checks of their format and size."""

import numpy as np
from mmseg.datasets import LoadAnnotations
from mmseg.registry import TRANSFORMS

from ...utils.errors import Refusal
from ...utils.files import read_bytes
from ...utils.label_png import IGNORED, decode_mask


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
        _check_size(mask, results)
        ids = np.arange(256)
        if self.reduce_zero_label or results.get('reduce_zero_label'):
            ids = np.where((ids == 0) | (ids == IGNORED), IGNORED, ids - 1)
        renamed = ids.copy()
        for old, new in (results.get('label_map') or {}).items():
            renamed[ids == old] = new
        results['gt_seg_map'] = renamed.astype(np.uint8)[mask]
        results.setdefault('seg_fields', []).append('gt_seg_map')
        return results


def _check_size(mask: np.ndarray, results: dict) -> None:
    size = tuple(results.get('ori_shape', mask.shape)[:2])
    if mask.shape != size:
        advice = 'it is the mask of another image, or one of the two was resized'
        if mask.shape == size[::-1]:
            advice = (
                'if the EXIF orientation of the image is not upright, it was rotated: rotate '
                'the mask too, or remove the orientation from the image'
            )
        raise Refusal(
            f'mask {results["seg_map_path"]} has shape {mask.shape}, its image '
            f'{results.get("img_path")} {size} (height, width); {advice}'
        )
