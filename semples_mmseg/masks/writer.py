"""Writing pseudo masks while a model predicts, as an MMSeg metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmseg.registry import METRICS, TASK_UTILS

from ..models.soft_masks import label_map
from ..utils.label_png import mask_path, write_mask
from ..utils.parallel import WorkerPool, usable_cores
from ..utils.sizes import resized_label
from .prediction_writer import image_id, needed
from .refinement import Refinement

_FOR_WORKERS = ('img_id', 'img_path', 'ori_shape', 'cam_classes')


@METRICS.register_module()
class PseudoMaskWriter(BaseMetric):
    """Writes ``<out_dir>/<image id>.png`` for every prediction; returns their number, ``masks``.

    The mask is the prediction's label map (0 background, class + 1 otherwise), refined if
    ``refine`` is given, in an 8-bit PNG with the data set's palette, written atomically. CAMs that
    are smaller than their photo are refined at their own size, and the mask is then enlarged. A
    refinement on the CPU runs in worker processes while the model predicts.

    Args:
        out_dir: Folder of the masks.
        refine: The refinement: its config (``TASK_UTILS``), e.g. ``dict(type='DenseCRF',
            preset='voc')``, the object, or None.
        num_workers: Processes for a refinement that works in workers; by default one for every
            CPU core that the run may use. 0 refines in the model's process.
    """

    default_prefix = ''  # none, without MMEngine's warning

    def __init__(
        self,
        out_dir: str,
        refine: Refinement | Mapping[str, Any] | None = None,
        num_workers: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.out_dir = Path(out_dir)
        self.refine: Refinement | None = (
            TASK_UTILS.build(dict(refine)) if isinstance(refine, Mapping) else refine
        )
        self.in_workers = self.refine is not None and self.refine.in_workers
        self.num_workers = usable_cores() if num_workers is None else num_workers
        self._pool: WorkerPool | None = None

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Write the masks of a batch, or pass them to the workers."""
        if self._pool is None:
            assert self.dataset_meta is not None, 'the evaluator sets `dataset_meta`'
            palette = self.dataset_meta.get('palette') or ()
            write = partial(write_refined, refine=self.refine, palette=palette)
            self._pool = WorkerPool(write, self.num_workers if self.in_workers else 0)
        for sample in data_samples:
            name = image_id(sample)
            cams = needed(sample, 'cams', 'PseudoMaskWriter')['data']
            predicted = sample['pred_sem_seg']['data'].squeeze(0)
            size = tuple(predicted.shape)
            if self.refine is not None and cams.shape[-2:] != size:
                predicted = label_map(cams, sample['cam_classes'], sample['background_score'])
            label = predicted.to(torch.uint8).cpu().numpy()
            known = dict(sample, img_id=name)
            if self.in_workers:  # the CAMs are large
                known = {key: known.get(key) for key in _FOR_WORKERS}
                known['cam_classes'] = sample['cam_classes'].cpu().numpy()
            path = mask_path(self.out_dir, name)
            self.results += self._pool.put(path, label, size, known)

    def evaluate(self, size: int) -> dict[str, float]:
        """Wait for the workers, then evaluate as MMEngine does."""
        if self._pool is not None:
            self.results += self._pool.wait()
            self.close()
        return super().evaluate(size)

    def close(self) -> None:
        """End the workers after they have finished the masks that they have begun."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Count the masks."""
        logger = MMLogger.get_current_instance()
        logger.info(f'{len(results)} pseudo masks are in {self.out_dir}.')
        empty = [shows for tagged, shows in results if tagged].count(False)
        tagged = sum(tagged for tagged, _ in results)
        if empty > tagged / 2:
            logger.warning(
                f'{empty} of {tagged} images with classes have a mask of background alone: lower '
                '--background-score'
            )
        return dict(masks=len(results))


def write_refined(
    path: Path,
    label: np.ndarray,
    size: tuple[int, int],
    sample: Mapping[str, Any],
    refine: Refinement | None,
    palette: Sequence[Sequence[int]],
) -> tuple[bool, bool]:
    """Refine and write a mask of a size; whether the image has classes, and the mask shows one."""
    if refine is not None:
        label = resized_label(refine(label, sample), size)
    write_mask(path, label, palette)
    return len(sample['cam_classes']) > 0, bool(label.any())
