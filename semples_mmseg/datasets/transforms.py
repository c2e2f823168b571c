"""Transforms: loading with checks, a limit of size, seeds, packing; and changes of pipelines."""

import random
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import mmcv
import numpy as np
import torch
import torch.nn.functional as F
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmengine.structures import PixelData
from mmpretrain.datasets import RandomResizedCrop
from mmseg.datasets import LoadAnnotations
from mmseg.registry import TRANSFORMS
from mmseg.structures import SegDataSample

from ..models.segmentors.data_preprocessor import Scales
from ..utils.checks import difference, renamed_ids
from ..utils.errors import Refusal
from ..utils.files import read_bytes
from ..utils.images import decode_image
from ..utils.label_png import decode_mask
from ..utils.sizes import limited_size, resize_bicubic

_META_KEYS = (
    *('img_path', 'img_id', 'seg_map_path', 'ori_shape', 'limited_shape', 'img_shape', 'pad_shape'),
    *('scale_factor', 'flip', 'flip_direction', 'reduce_zero_label'),
)


@TRANSFORMS.register_module()
class LoadCheckedImage(LoadImageFromFile):
    """MMCV's ``LoadImageFromFile`` with Pillow, which refuses what it cannot decode completely.

    Refused are truncated files, animations, and more than ``SEMPLES_MAX_PIXELS`` pixels; 16-bit
    images keep their greys. Other files have MMCV's pixels. Photos are rotated by their EXIF
    orientation, so masks have to match the upright picture.

    Args:
        color_type: ``'color'``, or ``'color_ignore_orientation'``, which does not rotate photos.
        imdecode_backend: ``'pillow'``.
        least_side: For training on crops: a JPEG of both sides twice, four or eight times as long
            is decoded at this fraction of its size, several times as fast. Masks do not fit then.
    """

    def __init__(
        self,
        color_type: str = 'color',
        imdecode_backend: str = 'pillow',
        least_side: int | None = None,
        **kwargs: Any,
    ) -> None:
        if imdecode_backend != 'pillow':
            raise Refusal(f"LoadCheckedImage needs 'pillow', got {imdecode_backend=}")
        if color_type not in ('color', 'color_ignore_orientation'):
            raise Refusal(f'LoadCheckedImage loads colours, got {color_type=}')
        super().__init__(color_type=color_type, imdecode_backend=imdecode_backend, **kwargs)
        self.least_side = least_side

    def transform(self, results: dict) -> dict | None:
        """Load ``img`` (H, W, 3) BGR of ``img_path``, and set ``img_shape`` and ``ori_shape``."""
        path = results['img_path']
        try:
            content = read_bytes(path, 'image')
            upright = self.color_type == 'color'
            image = decode_image(content, path, upright, self.least_side)
        except Exception:
            if self.ignore_empty:
                return None
            raise
        image = mmcv.rgb2bgr(image)
        results['img'] = image.astype('float32') if self.to_float32 else image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results


@TRANSFORMS.register_module()
class FastResizedCrop(RandomResizedCrop):
    """MMPretrain's ``RandomResizedCrop`` with PyTorch's antialiased bicubic filter, which is fast.

    It draws the same crops; 2 % of the values differ from Pillow's, nearly all by 1 of 255.

    Args:
        scale: Side of the result, or (height, width).
        **kwargs: As of MMPretrain's, without ``backend`` and ``interpolation``.
    """

    def __init__(self, scale: int | Sequence[int], **kwargs: Any) -> None:
        super().__init__(scale, backend='pillow', interpolation='bicubic', **kwargs)

    def transform(self, results: dict) -> dict:
        """Crop and resize ``img``, uint8 (H, W, C)."""
        top, left, height, width = self.rand_crop_params(results['img'])
        crop = results['img'][top : top + height, left : left + width]
        pixels = torch.from_numpy(np.ascontiguousarray(crop)).permute(2, 0, 1)[None]
        resized = F.interpolate(pixels, self.scale, mode='bicubic', antialias=True)
        results['img'] = resized[0].permute(1, 2, 0).contiguous().numpy()
        results['img_shape'] = self.scale
        return results


@TRANSFORMS.register_module()
class LoadCheckedAnnotations(LoadAnnotations):
    """MMSeg's ``LoadAnnotations`` for 8-bit palette or grey PNG files with one class id per pixel.

    Other masks are refused, because MMSeg keeps only the lower 8 of 16 bits and takes colours for
    ids; so are damaged masks, and those of another size than their image. An item without a mask
    passes unchanged, so the pipeline of evaluation also works for inference.
    """

    def transform(self, results: dict) -> dict:
        """Load ``gt_seg_map``, uint8 (H, W), of ``seg_map_path``, if there is one."""
        path = results.get('seg_map_path')
        if path is None:
            return results
        mask = decode_mask(read_bytes(path, 'mask'), path)
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


@TRANSFORMS.register_module()
class LimitSide(BaseTransform):
    """Shrink photos whose long side is above a limit, for prediction; others stay as they are.

    Label maps still have the original size. CAMs, logits and their refinement have the size of the
    smaller photo, ``limited_shape`` (height and width) of the data sample.

    Args:
        max_side: Longest side in pixels.
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


@TRANSFORMS.register_module()
class SeedEachImage(BaseTransform):
    """Seed python and numpy from (seed, epoch, ``img_id``), for the transforms that follow.

    ``EpochSeedHook`` sets seed and epoch. So augmentation does not depend on the numbers of
    processes and workers or on the batch size.
    """

    def __init__(self) -> None:
        # Shared, because persistent workers keep the transforms of the first epoch.
        self._epoch = torch.zeros(2, dtype=torch.int64).share_memory_()

    def start_epoch(self, seed: int, epoch: int) -> None:
        """Set seed and epoch for the next images, in loader workers too."""
        self._epoch.copy_(torch.tensor([seed, epoch]))

    def transform(self, results: dict) -> dict:
        """Seed; the item stays as it is."""
        image = zlib.crc32(str(results['img_id']).encode())
        words = np.random.SeedSequence([*self._epoch.tolist(), image])
        seed = int(words.generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)
        return results


@TRANSFORMS.register_module()
class PackWeakInputs(BaseTransform):
    """Pack the image as ``inputs`` and everything else as a ``SegDataSample``.

    ``inputs`` is a (3, H, W) tensor of the image as it was loaded (BGR, uint8 in 0..255). With
    ``scales`` it is a list of such tensors, one per scale, each the image resized by PIL's bicubic
    filter to (round(H * scale), round(W * scale)). MMEngine's ``pseudo_collate`` turns a batch of
    them into ``inputs[scale][image]``, the order of its test-time augmentation.

    The data sample holds ``image_labels`` (float32 (K,) multi-hot), ``gt_sem_seg`` (int64
    (1, H, W)) where there are some, and as metainfo those of ``meta_keys`` that are known.

    Args:
        scales: Scales of multi-scale CAM inference, positive, e.g. (1.0, 1.2). None packs one
            tensor.
        meta_keys: Keys of the results to keep as metainfo.
    """

    def __init__(
        self, scales: Sequence[float] | None = None, meta_keys: Sequence[str] = _META_KEYS
    ) -> None:
        if scales is not None and (not scales or min(scales) <= 0):
            raise Refusal(f'PackWeakInputs: scales have to be positive, got {tuple(scales)}')
        self.scales = scales
        self.meta_keys = meta_keys

    def transform(self, results: dict) -> dict:
        """Pack ``img`` (H, W, 3) and what else the pipeline collected."""
        img = np.ascontiguousarray(results['img'])
        # Some transforms write (h, w, channels) here, some nothing at all.
        height, width = results['img_shape'] = img.shape[:2]
        sample = SegDataSample(metainfo={k: results[k] for k in self.meta_keys if k in results})
        if 'image_labels' in results:
            sample.image_labels = torch.as_tensor(results['image_labels'], dtype=torch.float32)
        if 'gt_seg_map' in results:
            mask = torch.from_numpy(results['gt_seg_map'].astype(np.int64))
            sample.gt_sem_seg = PixelData(data=mask[None])
        if self.scales is None:
            return dict(inputs=_to_tensor(img), data_samples=sample)
        sizes = [
            (max(round(height * scale), 1), max(round(width * scale), 1)) for scale in self.scales
        ]
        inputs = Scales(_to_tensor(resize_bicubic(img, size)) for size in sizes)
        return dict(inputs=inputs, data_samples=sample)


def _to_tensor(img: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(img.transpose(2, 0, 1)))


def with_checked_loader(pipeline: Sequence) -> list:
    """Load with ``LoadCheckedImage`` where a pipeline names MMCV's loader with Pillow."""
    return [
        {**step, 'type': 'LoadCheckedImage'}
        if isinstance(step, Mapping)
        and step.get('type') in ('LoadImageFromFile', LoadImageFromFile)
        and step.get('imdecode_backend') == 'pillow'
        else step
        for step in pipeline
    ]


def set_max_side(node: Any, max_side: int) -> int:
    """Set the limit of every ``LimitSide`` in a part of a config; returns their number."""
    if isinstance(node, dict):
        if node.get('type') in ('LimitSide', LimitSide):
            node['max_side'] = max_side
            return 1
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        return sum(set_max_side(child, max_side) for child in node)
    return 0


def annotation_loaders(pipeline: Any) -> list[str]:
    """Names of the transforms that load annotations, those inside other transforms included."""
    names = (name.split('.')[-1] for name in _transform_names(pipeline))
    return [name for name in names if name.startswith('Load') and 'Annotation' in name]


def _transform_names(pipeline: Any) -> Iterable[str]:
    """Names of all transforms of a pipeline, those inside wrappers included."""
    if isinstance(pipeline, Mapping):
        kind = pipeline.get('type')
        if kind is not None:
            yield kind if isinstance(kind, str) else getattr(kind, '__name__', str(kind))
        for value in pipeline.values():
            yield from _transform_names(value)
    elif isinstance(pipeline, (list, tuple)):
        for value in pipeline:
            yield from _transform_names(value)
    elif callable(pipeline) and not isinstance(pipeline, type):
        yield type(pipeline).__name__
        yield from _transform_names(getattr(pipeline, 'transforms', ()))
