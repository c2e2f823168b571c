"""What is measured, and on what."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

STEP_BATCH = dict(cpu=8, cuda=64)
SEGMENTER_BATCH = 4


@dataclass(frozen=True)
class Setting:
    """Sizes of one measurement, the same for both sides of it.

    Attributes:
        toy: Whether everything is tiny; else models and images have VOC's sizes.
        device: ``'cpu'`` or ``'cuda'``.
        batch: Images in a training step.
        images: Images of the paths that go through a data set (CAMs, curve, CRF, loading).
        folder: For files that both sides read and write.
        processes: Of the CRF and of loading.
        classes: Classes of every image; None draws one to four, 1.5 in the mean, as in VOC.
        side: Height and width of training images; None takes CLIP's.
    """

    toy: bool
    device: str
    batch: int
    images: int
    folder: str
    processes: int = 2
    classes: int | None = None
    side: int | None = None

    def autocast(self, dtype: torch.dtype) -> AbstractContextManager:
        """Mixed precision of a training step on a GPU (bfloat16 for ours, float16 as published)."""
        return nullcontext() if self.device == 'cpu' else torch.autocast(self.device, dtype)


class Side:
    """One of the versions of a path that are compared: calling it does the work once."""

    def prepare(self) -> None:
        """Get ready for one call; not measured."""

    def __call__(self) -> object:
        """Do the work that is measured."""
        raise NotImplementedError

    def close(self) -> None:
        """End what ``prepare`` has started."""
