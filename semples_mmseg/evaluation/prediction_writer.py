"""Writing predicted label maps as palette PNGs, as an MMSeg metric."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmseg.registry import METRICS

from ..utils.label_png import mask_path, write_mask


@METRICS.register_module()
class PredictionWriter(BaseMetric):
    """Writes ``<out_dir>/<image id>.png`` for every prediction, as it comes.

    8-bit PNGs with the data set's palette, each written whole or not at all. No ground truth is
    looked at. Returns ``predictions``, the number of images.

    Args:
        out_dir: Folder of the PNGs.
        collect_device: See :class:`mmengine.evaluator.BaseMetric`, as for the rest.
        prefix: Prefix of the returned key.

    Raises:
        ValueError: If an image id leads out of the folder.
    """

    default_prefix = ''  # none, without MMEngine's warning

    def __init__(
        self, out_dir: str, collect_device: str = 'cpu', prefix: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix, **kwargs)
        self.out_dir = Path(out_dir)

    @property
    def folder(self) -> Path:
        """Where the PNGs are."""
        return self.out_dir

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Write the label maps of a batch."""
        assert self.dataset_meta is not None, 'the evaluator sets `dataset_meta`'
        for sample in data_samples:
            name = sample.get('img_id') or os.path.splitext(os.path.basename(sample['img_path']))[0]
            label = sample['pred_sem_seg']['data'].squeeze(0).cpu().numpy()
            write_mask(mask_path(self.folder, name), label, self.dataset_meta.get('palette', ()))
            self.results.append(str(name))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Say how many and where."""
        MMLogger.get_current_instance().info(f'{len(results)} predictions are in {self.folder}.')
        return dict(predictions=len(results))
