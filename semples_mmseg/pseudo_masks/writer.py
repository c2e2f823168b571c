"""Writing pseudo masks while a model predicts, as an MMSeg metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmseg.registry import METRICS

from ..evaluation import confusion_matrix, segmentation_scores
from ..models.masks import label_map
from .manifest import checkpoint_entry, open_folder
from .masks import read_mask, write_mask


class Refinement(Protocol):
    """A step between the label map of the CAMs and the mask on disk.

    Attributes:
        settings: What the result depends on, recorded in the folder's manifest; JSON.
    """

    settings: Any

    def __call__(self, label: np.ndarray, sample: Mapping[str, Any]) -> np.ndarray:
        """Refine the map of one image.

        Args:
            label: Label ids 0..K, uint8 of shape ``(H, W)``.
            sample: The prediction: ``img_path``, ``cams``, ``cam_classes`` and the rest.

        Returns:
            Label ids of the same shape.
        """


@METRICS.register_module()
class PseudoMaskWriter(BaseMetric):
    """Writes ``<out_dir>/<image id>.png`` for every prediction, as it comes.

    The mask is the label map of the sample's CAMs under the background score (0 background,
    class + 1 otherwise), refined if asked, in an 8-bit PNG with the data set's palette. Files
    appear whole or not at all, so a stopped run is continued by running it again: masks that are
    there are kept. A manifest in the folder records the settings; a folder of other settings is
    refused.

    Returns ``masks``, the number of images; and, if the samples have a ground truth,
    ``mask_mIoU`` of the files on disk in percent: a diagnostic that training must not look at.

    Args:
        out_dir: Folder of the masks.
        background_score: Score t of the background, 0..1.
        checkpoint: Weights the model was loaded from; recorded with their SHA-256.
        refine: A step between label map and file, or None.
        settings: More settings the masks depend on (e.g. the scales of CAM inference), a JSON
            value; recorded and compared too.
        overwrite: Delete the masks of the folder first.
        ignore_index: Value of ground truth that is not evaluated.
        collect_device: See :class:`mmengine.evaluator.BaseMetric`, as for the rest.
        prefix: Prefix of the returned keys.

    Raises:
        ValueError: If ``background_score`` is not in [0, 1], the folder holds something else, or
            a sample has no CAMs.
        FileNotFoundError: If ``checkpoint`` is missing.
    """

    default_prefix = ''  # none, without MMEngine's warning

    def __init__(
        self,
        out_dir: str,
        background_score: float,
        checkpoint: str | None = None,
        refine: Refinement | None = None,
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
        self.refine = refine
        self.ignore_index = ignore_index
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
        """Write the masks of a batch."""
        assert self.dataset_meta is not None, 'the evaluator sets `dataset_meta`'
        classes = self.dataset_meta['classes']
        palette = self.dataset_meta.get('palette') or ()
        for sample in data_samples:
            name = sample.get('img_id') or Path(sample['img_path']).stem
            path = self.out_dir / f'{name}.png'
            if not path.exists():
                write_mask(path, self._label(sample, name), palette)
            counts = None
            if 'gt_sem_seg' in sample:
                confusion = confusion_matrix(
                    torch.from_numpy(read_mask(path)),
                    sample['gt_sem_seg']['data'].squeeze(0).cpu(),
                    len(classes),
                    self.ignore_index,
                    name,
                )
                where = np.flatnonzero(confusion)
                counts = (where, confusion.reshape(-1)[where])
            self.results.append(counts)

    def _label(self, sample: dict[str, Any], name: str) -> np.ndarray:
        """Label map of one prediction, uint8 (H, W)."""
        if 'cams' not in sample:
            raise ValueError(
                f'PseudoMaskWriter: image {name!r} has no `cams`; use a model that predicts CAMs.'
            )
        cams = sample['cams']['data'].float()
        label = label_map(cams, sample['cam_classes'], self.background_score)
        array = label.to(torch.uint8).cpu().numpy()
        return array if self.refine is None else self.refine(array, sample)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Count the masks and, with a ground truth, measure them."""
        assert self.dataset_meta is not None
        metrics: dict[str, float] = dict(masks=len(results))
        number = len(self.dataset_meta['classes'])
        confusion = np.zeros((number, number), np.int64)
        for counts in results:
            if counts is not None:
                confusion.reshape(-1)[counts[0]] += counts[1]
        logger = MMLogger.get_current_instance()
        logger.info(f'{len(results)} pseudo masks are in {self.out_dir}.')
        if confusion.any():
            metrics['mask_mIoU'] = float(segmentation_scores(confusion).miou)
            logger.info('mask_mIoU looks at pixel labels: a diagnostic, not weak supervision.')
        return metrics
