"""Predicted label maps as palette PNGs, and the archive for PASCAL VOC's server: MMSeg metrics."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmseg.datasets import PascalVOCDataset
from mmseg.registry import METRICS

from ..utils.errors import Refusal
from ..utils.io import atomic_write
from ..utils.label_png import mask_path, write_mask
from ..utils.lists import name_some

COMPETITIONS = ('comp5', 'comp6')
LAYOUT = 'results/VOC2012/Segmentation/{competition}_test_cls'
"""Folder of the PNGs inside the archive."""


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


@METRICS.register_module()
class PredictionWriter(BaseMetric):
    """Writes ``<out_dir>/<image id>.png`` for every prediction; returns their number.

    8-bit PNGs with the data set's palette (VOC's colours if it has none), each written atomically.
    No ground truth is needed. Two images of one id, and ids out of the folder, are refused.

    Args:
        out_dir: Folder of the PNGs.
        img_dir: Folder of the images, for samples without ``img_id`` (those of MMSeg's
            ``PackSegInputs``): see ``image_id``.
        kwargs: Of ``mmengine.evaluator.BaseMetric``.
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
        super().__init__(str(Path(out_dir) / LAYOUT.format(competition=competition)), **kwargs)
        self.out_dir = Path(out_dir)
        self.archive = self.out_dir / f'{competition}_test_cls.tar.gz'

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Write the label maps of a batch."""
        assert self.dataset_meta is not None, 'the evaluator sets `dataset_meta`'
        given = tuple(self.dataset_meta['classes'])
        if given != PascalVOCDataset.METAINFO['classes']:
            raise Refusal(
                f'VOCSubmission: the server takes the 21 classes of VOC in their order; the data '
                f'set has {len(given)}: {name_some([*map(str, given)], 21)}'
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
