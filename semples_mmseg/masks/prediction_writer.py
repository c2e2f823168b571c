"""Predicted label maps as palette PNGs, an MMSeg metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmseg.registry import METRICS

from ..utils.errors import Refusal
from ..utils.label_png import mask_path, write_mask


def image_id(sample: Mapping[str, Any], img_dir: str | Path = '') -> str:
    """The id of the image of a prediction: ``img_id``, or its path below the folder of the images.

    Without a path there it is the file's name; without ``img_path`` it is ``'unknown'``.
    """
    if sample.get('img_id'):
        return str(sample['img_id'])
    path = Path(sample.get('img_path') or 'unknown')
    inside = img_dir and path.is_relative_to(img_dir)
    name = path.relative_to(img_dir) if inside else Path(path.name)
    return name.with_suffix('').as_posix()


def needed(sample: Mapping[str, Any], key: str, user: str) -> Any:
    """A field of a prediction; a refusal where it is missing or empty."""
    if key not in sample or not len(sample[key]):
        raise Refusal(
            f'{user}: image {image_id(sample)!r} has no `{key}`: model, data set and pipeline have '
            'to give what is evaluated'
        )
    return sample[key]


@METRICS.register_module()
class PredictionWriter(BaseMetric):
    """Writes ``<out_dir>/<image id>.png`` for every prediction; returns their number.

    8-bit PNGs with the data set's palette (VOC's colours if it has none), each written atomically.
    No ground truth is needed. Two images of one id, and ids out of the folder, are refused.

    Args:
        out_dir: Folder of the PNGs.
        img_dir: Folder of the images, for samples without ``img_id`` (those of MMSeg's
            ``PackSegInputs``): see ``image_id``.
    """

    default_prefix = ''  # none, without MMEngine's warning

    def __init__(self, out_dir: str, img_dir: str = '', **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.folder = Path(out_dir)
        self.img_dir = img_dir
        self._images: dict[str, Any] = {}

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Write the label maps of a batch."""
        assert self.dataset_meta is not None, 'the evaluator sets `dataset_meta`'
        for sample in data_samples:
            name, path = image_id(sample, self.img_dir), sample.get('img_path')
            if self._images.setdefault(name, path) != path:
                raise Refusal(
                    f'the predictions of {self._images[name]} and {path} are the same file, '
                    f'{mask_path(self.folder, name)}; give the images different names'
                )
            label = sample['pred_sem_seg']['data'].squeeze(0).cpu().numpy()
            palette = self.dataset_meta.get('palette') or ()
            write_mask(mask_path(self.folder, name), label, palette)
            self.results.append(name)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Log their number and folder."""
        MMLogger.get_current_instance().info(f'{len(results)} predictions are in {self.folder}.')
        return dict(predictions=len(results))
