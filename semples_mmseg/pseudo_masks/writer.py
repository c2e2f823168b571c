"""Writing pseudo masks while a model predicts, as an MMSeg metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmseg.registry import METRICS, TASK_UTILS

from ..evaluation import segmentation_scores
from ..models.soft_masks import label_map
from ..refinement.base import Refinement
from ..utils.label_png import mask_path
from ..utils.parallel import WorkerPool, usable_cores
from .finishing import Finisher
from .manifest import checkpoint_entry, open_folder


@METRICS.register_module()
class PseudoMaskWriter(BaseMetric):
    """Writes ``<out_dir>/<image id>.png`` for every prediction, as it comes.

    The mask is the label map of the sample's CAMs under the background score (0 background,
    class + 1 otherwise), refined if asked, in an 8-bit PNG with the data set's palette. Files
    appear whole or not at all, so a stopped run is continued by running it again: masks that are
    there are kept. A manifest in the folder records the settings, those of the refinement too; a
    folder of other settings is refused.

    A refinement that works on the CPU alone runs in worker processes while the model predicts; the
    workers write the files, and at most twice as many images as there are workers wait for them.

    Returns ``masks``, the number of images; and, if the samples have a ground truth,
    ``mask_mIoU`` of the files on disk in percent: a diagnostic that training must not look at.

    Args:
        out_dir: Folder of the masks.
        background_score: Score t of the background, 0..1.
        checkpoint: Weights the model was loaded from; recorded with their SHA-256.
        refine: A step between label map and file: its config (``TASK_UTILS``), e.g.
            ``dict(type='DenseCRF', preset='voc')``, the object, or None.
        num_workers: Processes for a refinement that works in workers; by default one for every
            CPU core that the run may use. 0 refines in the model's process.
        settings: More settings the masks depend on (e.g. the scales of CAM inference), a JSON
            value; recorded and compared too.
        overwrite: Delete the masks of the folder first.
        ignore_index: Value of ground truth that is not evaluated.
        collect_device: See :class:`mmengine.evaluator.BaseMetric`, as for the rest.
        prefix: Prefix of the returned keys.

    Raises:
        ValueError: If ``background_score`` is not in [0, 1], the folder holds something else, a
            sample has no CAMs, or an image id leads out of the folder.
        FileNotFoundError: If ``checkpoint`` is missing.
        OSError: If a file cannot be written, e.g. because the disk is full.
    """

    default_prefix = ''  # none, without MMEngine's warning

    def __init__(
        self,
        out_dir: str,
        background_score: float,
        checkpoint: str | None = None,
        refine: Refinement | Mapping[str, Any] | None = None,
        num_workers: int | None = None,
        settings: Any = None,
        overwrite: bool = False,
        ignore_index: int = 255,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix, **kwargs)
        if not 0 <= background_score <= 1:
            raise ValueError(f'`background_score` must be in [0, 1], got {background_score}.')
        self.out_dir = Path(out_dir)
        self.background_score = background_score
        self.refine: Refinement | None = (
            TASK_UTILS.build(dict(refine)) if isinstance(refine, Mapping) else refine
        )
        if num_workers is None:
            num_workers = usable_cores()
        if num_workers < 0:
            raise ValueError(f'`num_workers` must be 0 or more, got {num_workers}.')
        in_workers = self.refine is not None and self.refine.in_workers
        self.num_workers = num_workers if in_workers else 0
        self.ignore_index = ignore_index
        self._pool: WorkerPool | None = None
        self._prepare(checkpoint, settings, overwrite)

    def _prepare(self, checkpoint: str | None, settings: Any, overwrite: bool) -> None:
        """Open the folder in one process; all of them fail if it is refused."""
        failure: list[Exception | None] = [None]
        if is_main_process():
            try:
                manifest = dict(
                    checkpoint=checkpoint_entry(checkpoint),
                    background_score=self.background_score,
                    refinement='none' if self.refine is None else self.refine.settings,
                    settings=settings,
                )
                open_folder(self.out_dir, manifest, overwrite)
            except (ValueError, OSError) as error:
                failure = [error]
        broadcast_object_list(failure)
        if failure[0] is not None:
            raise failure[0]

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Write the masks of a batch, or hand them to the workers."""
        assert self.dataset_meta is not None, 'the evaluator sets `dataset_meta`'
        finisher = Finisher(
            self.refine,
            self.dataset_meta.get('palette') or (),
            len(self.dataset_meta['classes']),
            self.ignore_index,
        )
        for sample in data_samples:
            name = sample.get('img_id') or Path(sample['img_path']).stem
            path = mask_path(self.out_dir, name)
            # what workers get: the CAMs themselves are large
            known = dict(
                img_id=name,
                img_path=sample.get('img_path'),
                background_score=self.background_score,
            )
            label = None if path.exists() else self._label(sample, name)
            if label is not None:
                known['cam_classes'] = sample['cam_classes'].cpu().numpy()
            target = None
            if 'gt_sem_seg' in sample:
                target = sample['gt_sem_seg']['data'].squeeze(0).cpu().numpy()
            if not self.num_workers:
                self.results.append(finisher(path, label, known | sample, target))
                continue
            if self._pool is None:
                self._pool = WorkerPool(finisher, self.num_workers)
            self.results.extend(self._pool.put(path, label, known, target))

    def evaluate(self, size: int) -> dict[str, float]:
        """Wait for the workers, then as everywhere in MMEngine."""
        if self._pool is not None:
            self.results.extend(self._pool.wait())
            self._pool.close()
            self._pool = None
        return super().evaluate(size)

    def close(self) -> None:
        """End the workers of a run that was broken off: what they have begun is finished."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def _label(self, sample: Mapping[str, Any], name: str) -> np.ndarray:
        """Label map of one prediction, uint8 (H, W)."""
        if 'cams' not in sample:
            raise ValueError(
                f'PseudoMaskWriter: image {name!r} has no `cams`; use a model that predicts CAMs.'
            )
        cams = sample['cams']['data'].float()
        label = label_map(cams, sample['cam_classes'], self.background_score)
        return label.to(torch.uint8).cpu().numpy()

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Count the masks and, with a ground truth, measure them."""
        assert self.dataset_meta is not None
        metrics: dict[str, float] = dict(masks=len(results))
        number = len(self.dataset_meta['classes'])
        confusion = np.zeros((number, number), np.int64)
        for where, values in results:
            confusion.reshape(-1)[where] += values
        logger = MMLogger.get_current_instance()
        logger.info(f'{len(results)} pseudo masks are in {self.out_dir}.')
        if confusion.any():
            metrics['mask_mIoU'] = float(segmentation_scores(confusion).miou)
            logger.info('mask_mIoU looks at pixel labels: a diagnostic, not weak supervision.')
        return metrics
