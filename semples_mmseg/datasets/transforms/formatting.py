"""Packing an image and its image-level labels for the model, at one or several scales."""

from collections.abc import Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import PixelData
from mmseg.registry import TRANSFORMS
from mmseg.structures import SegDataSample

from ...models.segmentors.data_preprocessor import Scales
from ...utils.errors import Refusal
from ...utils.sizes import resize_bicubic


@TRANSFORMS.register_module()
class PackWeakInputs(BaseTransform):
    """Pack the image as ``inputs`` and everything else as a ``SegDataSample``.

    ``inputs`` is a (3, H, W) tensor of the image as it was loaded (BGR, uint8 in 0..255);
    normalisation is left to the data preprocessor. With ``scales`` it is a list of such tensors,
    one per scale, each the uint8 image resized by PIL's bicubic filter to
    (round(H * scale), round(W * scale)); scale 1 is the untouched image (WeakTr's multi-scale CAM
    inference). mmengine's ``pseudo_collate`` turns a batch of them into ``inputs[scale][image]``,
    the order of mmengine's test-time augmentation.

    The data sample holds ``image_labels`` (float32 (K,) multi-hot, if the data set gave any),
    ``gt_sem_seg`` (int64 (1, H, W), if an evaluation pipeline loaded a mask) and as metainfo those
    of ``meta_keys`` that are known.

    Args:
        scales: Scales of multi-scale CAM inference, e.g. (1.0, 1.2). None packs one tensor.
        meta_keys: Keys of the results to keep as metainfo.

    Raises:
        ValueError: If a scale is not positive, or the mask does not fit the image.
    """

    def __init__(
        self,
        scales: Sequence[float] | None = None,
        meta_keys: Sequence[str] = (
            'img_path',
            'img_id',
            'seg_map_path',
            'ori_shape',
            'limited_shape',
            'img_shape',
            'pad_shape',
            'scale_factor',
            'flip',
            'flip_direction',
            'reduce_zero_label',
        ),
    ) -> None:
        if scales is not None and (not scales or min(scales) <= 0):
            raise Refusal(f'PackWeakInputs: scales have to be positive, got {tuple(scales)}')
        self.scales = None if scales is None else tuple(scales)
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict) -> dict:
        """Pack one item.

        Args:
            results: ``img`` of shape (H, W, 3) and what else the pipeline collected.

        Returns:
            ``inputs`` and ``data_samples``.
        """
        img = results['img']
        # Some transforms write (h, w, channels) here, some nothing at all.
        results['img_shape'] = img.shape[:2]
        sample = SegDataSample(
            metainfo={key: results[key] for key in self.meta_keys if key in results}
        )
        if 'image_labels' in results:
            sample.image_labels = torch.as_tensor(results['image_labels'], dtype=torch.float32)
        if 'gt_seg_map' in results:
            mask = self._checked_mask(results)
            sample.gt_sem_seg = PixelData(data=torch.from_numpy(mask.astype(np.int64))[None])
        if self.scales is None:
            return dict(inputs=_to_tensor(img), data_samples=sample)
        img = np.ascontiguousarray(img)
        inputs = Scales(_to_tensor(_scaled(img, scale)) for scale in self.scales)
        return dict(inputs=inputs, data_samples=sample)

    @staticmethod
    def _checked_mask(results: dict) -> np.ndarray:
        mask = results['gt_seg_map']
        allowed = {tuple(results[k][:2]) for k in ('img_shape', 'ori_shape') if k in results}
        if mask.ndim != 2 or mask.shape not in allowed:
            raise Refusal(
                f'mask {results.get("seg_map_path")} has shape {mask.shape}, its image '
                f'{results.get("img_path")} {results["img_shape"]}; expected one class id per '
                'pixel (a palette or grey PNG) of the same size'
            )
        return mask

    def __repr__(self) -> str:
        return f'{type(self).__name__}(scales={self.scales}, meta_keys={self.meta_keys})'


def _scaled(img: np.ndarray, scale: float) -> np.ndarray:
    height, width = img.shape[:2]
    return resize_bicubic(img, (max(round(height * scale), 1), max(round(width * scale), 1)))


def _to_tensor(img: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(img.transpose(2, 0, 1)))
