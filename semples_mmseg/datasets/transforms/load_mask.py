"""Loading masks with checks of their format and size."""

from mmseg.datasets import LoadAnnotations
from mmseg.registry import TRANSFORMS

from ...utils.errors import Refusal
from ...utils.files import read_bytes
from ...utils.label_png import decode_mask
from ..checks import difference, renamed_ids


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
