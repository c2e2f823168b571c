"""The archive of predictions for PASCAL VOC's evaluation server."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.logging import MMLogger
from mmseg.registry import METRICS

from ..utils.errors import Refusal
from ..utils.io import atomic_write
from ..utils.label_png import mask_path
from .prediction_writer import PredictionWriter

COMPETITIONS = ('comp5', 'comp6')
NUM_CLASSES = 21
LAYOUT = 'results/VOC2012/Segmentation/{competition}_test_cls'
"""Folder of the PNGs inside the archive."""


@METRICS.register_module()
class VOCSubmission(PredictionWriter):
    """Writes predictions of VOC's test list in the evaluation server's layout, and their archive.

    The files are ``<out_dir>/results/VOC2012/Segmentation/<competition>_test_cls/<image id>.png``
    and ``<out_dir>/<competition>_test_cls.tar.gz``, which holds only the PNGs of this run. Returns
    ``predictions``, their number.

    Args:
        out_dir: Folder of both.
        competition: ``'comp5'`` (trained only on VOC's data) or ``'comp6'`` (also on other
            data, such as CLIP's images).
        **kwargs: See ``PredictionWriter``.

    Raises:
        ValueError: If the competition is unknown, or the data set has other classes than VOC.
    """

    def __init__(self, out_dir: str, competition: str = 'comp5', **kwargs: Any) -> None:
        if competition not in COMPETITIONS:
            raise Refusal(f'competition has to be one of {COMPETITIONS}, got {competition!r}')
        super().__init__(out_dir, **kwargs)
        self.competition = competition

    @property
    def folder(self) -> Path:
        """Where the PNGs are."""
        return self.out_dir / LAYOUT.format(competition=self.competition)

    @property
    def archive(self) -> Path:
        """The file to upload."""
        return self.out_dir / f'{self.competition}_test_cls.tar.gz'

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Write the label maps of a batch."""
        assert self.dataset_meta is not None, 'the evaluator sets `dataset_meta`'
        if len(self.dataset_meta['classes']) != NUM_CLASSES:
            raise Refusal(
                f'VOCSubmission: the data set has {len(self.dataset_meta["classes"])} classes, '
                f'VOC has {NUM_CLASSES}'
            )
        super().process(data_batch, data_samples)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Pack the PNGs of this run."""
        metrics = super().compute_metrics(results)
        with atomic_write(self.archive, 'wb') as file, tarfile.open(None, 'w:gz', file) as archive:
            for name in sorted(results):
                path = mask_path(self.folder, name)
                archive.add(path, path.relative_to(self.out_dir).as_posix(), filter=_anonymous)
        MMLogger.get_current_instance().info(f'The archive to upload is {self.archive}.')
        return metrics


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Remove names and ids of user and group from an entry: the archive is sent to others."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ''
    return entry
