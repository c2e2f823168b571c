"""Segmentation model of the retraining step, and its multi-scale test."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models import EncoderDecoder, SegTTAModel
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from ...utils.classes import model_metainfo, read_classes
from ...utils.errors import Refusal
from ...utils.sizes import enlarged_size
from ...weights.loading import check_state_dict
from ..soft_masks import best_classes, refuse_nan


@MODELS.register_module()
class WindowedEncoderDecoder(EncoderDecoder):
    """MMSeg's encoder-decoder with the sliding windows of Segmenter and WeakTr. At test time

    - an image smaller than a window is enlarged (bilinearly) until a window fits; a strip, whose
      sides differ by more than a factor of 10, is padded with zeros to a window instead;
    - ``test_cfg.restrict_to_image_labels`` makes the logits of classes absent from the image-level
      label minus infinity (the "mask" figure of *training* images);
    - ``seg_logits`` of a photo that ``LimitSide`` has shrunk have the smaller size,
      ``pred_sem_seg`` the photo's own;
    - the images of a batch may differ in size: they are predicted one by one.

    Args:
        class_names: The K object classes, see ``read_classes``; they set ``num_classes`` of the
            head to K + 1. A data set with others, or in another order, is refused
            (``CheckClassesHook``); only the number, if the head has another.
    """

    def __init__(self, class_names: str | Sequence[str] | None = None, **kwargs: Any) -> None:
        named = None if class_names is None else read_classes(class_names, 'model.class_names')
        if named is not None:
            number = dict(num_classes=len(named.names) + 1)
            kwargs['decode_head'] = number | dict(kwargs['decode_head'])
        super().__init__(**kwargs)
        self.class_names: tuple[str, ...] | None = None
        if named is not None and self.num_classes == len(named.names) + 1:
            self.class_names, self.dataset_meta = named.names, model_metainfo(named)
        self._register_load_state_dict_pre_hook(self._check_checkpoint)

    def _check_checkpoint(
        self, state_dict: Mapping[str, Tensor], prefix: str, metadata: Any = None, *_: Any
    ) -> None:
        check_state_dict(self, ('backbone', 'decode_head'), state_dict, prefix, metadata)

    def test_step(self, data: Mapping[str, Any]) -> list[SegDataSample]:
        """Predictions of a batch."""
        images, samples, run = data['inputs'], data['data_samples'], super().test_step
        if len({image.shape for image in images}) == 1:
            return run(data)
        singles = zip(images, samples, strict=True)
        return [run(dict(inputs=[image], data_samples=[one]))[0] for image, one in singles]

    def slide_inference(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Mean of the logits over windows; see ``enlarged_size`` for images smaller than one."""
        size = (inputs.shape[-2], inputs.shape[-1])
        enlarged = enlarged_size(size, self.test_cfg['crop_size'])
        if enlarged != size:
            if any(any(meta.get('img_padding_size', ())) for meta in batch_img_metas):
                raise Refusal(
                    f'images of {size} are smaller than the windows and padded: take the padding '
                    'out of data_preprocessor.test_cfg, or use test_cfg.mode="whole"'
                )
            inputs = F.interpolate(inputs, enlarged, mode='bilinear', align_corners=False)
        height, width = enlarged
        rows, columns = self.test_cfg['crop_size']
        inputs = F.pad(inputs, (0, max(columns - width, 0), 0, max(rows - height, 0)))
        return super().slide_inference(inputs, batch_img_metas)[..., :height, :width]

    def postprocess_result(
        self, seg_logits: Tensor, data_samples: list[SegDataSample] | None = None
    ) -> list[SegDataSample]:
        """Logits, flipped back and restricted if configured, and the best class of every pixel."""
        samples = data_samples or []
        original = [sample.metainfo.get('ori_shape') for sample in samples]
        for sample in samples:
            if 'limited_shape' in sample.metainfo:
                sample.set_metainfo(dict(ori_shape=sample.limited_shape))
        samples = super().postprocess_result(seg_logits, data_samples)
        for sample in samples:
            refuse_nan(sample.seg_logits.data, sample)
        if self.test_cfg.get('restrict_to_image_labels'):
            for sample in samples:
                self._restrict(sample)
        for sample, size in zip(samples, original, strict=False):
            if 'limited_shape' in sample.metainfo:
                sample.set_metainfo(dict(ori_shape=size))
                sample.pred_sem_seg = _label_at(size, sample.seg_logits.data)
        return samples

    def _restrict(self, sample: SegDataSample) -> None:
        logits = sample.seg_logits.data
        if 'image_labels' not in sample:
            raise Refusal(
                'test_cfg.restrict_to_image_labels needs image-level labels: test on a '
                'WeakLabelDataset (or WeakVOCDataset) whose pipeline ends with PackWeakInputs'
            )
        labels = sample.image_labels
        if len(labels) + 1 != len(logits):
            own = len(logits) - 1
            raise Refusal(f'the data set has {len(labels)} object classes, the model {own}')
        allowed = torch.cat([labels.new_ones(1), labels]).to(logits.device) > 0
        logits = logits.masked_fill(~allowed[:, None, None], -torch.inf)
        sample.seg_logits = PixelData(data=logits)
        sample.pred_sem_seg = PixelData(data=logits.argmax(0, keepdim=True))


@MODELS.register_module()
class ProbabilityTTA(SegTTAModel):
    """Mean of the class probabilities over scales and flips.

    ``seg_logits`` is its logarithm, of which a dense CRF takes the softmax; MMSeg's ``SegTTAModel``
    returns the logits of the last view.
    """

    def merge_preds(
        self, data_samples_list: Sequence[Sequence[SegDataSample]]
    ) -> list[SegDataSample]:
        """Merge the views of each image, which have one size, to one sample."""
        merged = []
        for views in data_samples_list:
            probabilities = sum(view.seg_logits.data.softmax(0) for view in views) / len(views)
            result = views[0]
            result.seg_logits = PixelData(data=probabilities.log())
            size: Any = result.metainfo.get('ori_shape', probabilities.shape[1:])
            result.pred_sem_seg = _label_at(size, probabilities)
            merged.append(result)
        return merged


def _label_at(size: tuple[int, int], scores: Tensor) -> PixelData:
    """The label map at a photo's own size, from scores (C, h, w) that may be smaller."""
    if scores.shape[1:] == tuple(size):
        return PixelData(data=scores.argmax(0, keepdim=True))
    return PixelData(data=best_classes(scores, size)[None])
