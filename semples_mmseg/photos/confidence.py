"""How reliable the pseudo mask of each tag is, without pixel labels: its IoU with the Segmenter.

The Segmenter is trained on all pseudo masks, so masks that do not fit the others have a low IoU. In
the table a ``'`` stands before what a spreadsheet would run or split; reading takes it out.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..utils.errors import Refusal
from ..utils.io import atomic_write
from ..utils.label_png import mask_path, read_mask
from ..utils.parallel import parallel_map
from .run import Run

_BEGIN = re.compile(r"(^|;\s*)(?=[=+\-@＝＋－＠\t\r\n'])")


class Confidence(NamedTuple):
    """A row of ``confidence.csv``: id of a photo, class, IoU of its pseudo mask with the
    prediction, 0..1, and the share of the photo that the mask covers.
    """

    photo: str
    tag: str
    confidence: float
    share: float


def write_confidence(run: Run) -> None:
    """Write ``confidence.csv``: every tag of every photo, the least confident first."""
    names, labels = run.class_names(), run.labels()
    jobs = []
    for photo, tags in labels.items():
        ids = [names.index(tag) + 1 for tag in tags]
        jobs.append((mask_path(run.masks, photo), mask_path(run.predictions, photo), ids))
    rows = []
    for (photo, tags), found in zip(labels.items(), parallel_map(_agreement, jobs), strict=True):
        rows += [(iou, photo, tag, share) for tag, (iou, share) in zip(tags, found, strict=True)]
    with atomic_write(run.confidence) as file:
        writer = csv.writer(file)
        writer.writerow(Confidence._fields)
        for iou, photo, tag, share in sorted(rows):
            writer.writerow([cell(photo), cell(tag), f'{iou:.4f}', f'{share:.4f}'])


def read_confidence(run: Run) -> list[Confidence]:
    """Read ``confidence.csv``; ``Refusal`` if a row is not as ``write_confidence`` writes it."""
    rows: list[Confidence] = []
    labels = run.labels()
    with open(run.confidence, newline='', encoding='utf-8', errors='replace') as file:
        try:
            for row in csv.DictReader(file, strict=True):
                photo, tag = (re.sub(r"(^|;\s*)'", r'\1', row[key]) for key in ('photo', 'tag'))
                labels[photo].index(tag)
                rows.append(Confidence(photo, tag, float(row['confidence']), float(row['share'])))
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            raise Refusal(
                f'{run.confidence}, row {len(rows) + 2}: not what semples-mmseg fit has written '
                f'({error!r}); run the same fit again, which writes the table anew'
            ) from None
    return rows


def cell(text: str) -> str:
    """A name as a cell of a table, of which a spreadsheet runs nothing."""
    return _BEGIN.sub(r"\1'", text)


def class_iou(first: np.ndarray, second: np.ndarray, number: int) -> float:
    """IoU of the pixels of one id in two label maps; 0 where neither has it."""
    one, other = first == number, second == number
    union = np.count_nonzero(one | other)
    return np.count_nonzero(one & other) / union if union else 0.0


def _agreement(job: tuple[Path, Path, list[int]]) -> list[tuple[float, float]]:
    """IoU of two label maps, and share of the first, for each of some ids."""
    mask, prediction = read_mask(job[0]), read_mask(job[1])
    return [(class_iou(mask, prediction, k), float((mask == k).mean())) for k in job[2]]
