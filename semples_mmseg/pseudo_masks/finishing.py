"""The last steps of one pseudo mask; they run in the model's process or in a worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..evaluation import confusion_matrix
from ..refinement.base import Refinement
from ..utils.label_png import read_mask, write_mask

Counts = tuple[np.ndarray, np.ndarray]
"""Positions in a flattened confusion matrix that are not zero, and their values."""


@dataclass(frozen=True)
class Finisher:
    """Refines and writes masks and counts them against their ground truth.

    Attributes:
        refine: The refinement, or None.
        palette: RGB of the ids.
        num_classes: Number of classes, background included.
        ignore_index: Value of ground truth that is not evaluated.
    """

    refine: Refinement | None
    palette: Sequence[Sequence[int]]
    num_classes: int
    ignore_index: int

    def __call__(
        self,
        path: Path,
        label: np.ndarray | None,
        sample: Mapping[str, Any],
        target: np.ndarray | None,
    ) -> Counts:
        """Finish one mask.

        Args:
            path: The file.
            label: Label map of the CAMs, uint8 ``(H, W)``; None if the file is there already.
            sample: See :meth:`.refinement.Refinement.__call__`.
            target: Ground truth ``(H, W)``, if there is one.

        Returns:
            Confusion counts of the file, empty without a ground truth. (Never None: MMEngine drops
            those when it collects the results of several processes.)
        """
        if label is not None:
            refined = label if self.refine is None else self.refine(label, sample)
            write_mask(path, refined, self.palette)
        if target is None:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        confusion = confusion_matrix(
            torch.from_numpy(read_mask(path)),
            torch.from_numpy(target),
            self.num_classes,
            self.ignore_index,
            str(sample['img_id']),
        )
        where = np.flatnonzero(confusion)
        return where, confusion.reshape(-1)[where]
