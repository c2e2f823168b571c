"""What is measured, and on what."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass

import torch

SIZES = ('toy', 'full')
STEP_BATCH = dict(cpu=8, cuda=64)
SEGMENTER_BATCH = 4


@dataclass(frozen=True)
class Setting:
    """Sizes of one measurement, the same for both sides of it.

    Attributes:
        size: ``'full'``: the models and image sizes of VOC; ``'toy'``: everything tiny.
        device: ``'cpu'`` or ``'cuda'``.
        batch: Images in a training step.
        images: Images of the paths that go through a data set (CAMs, curve, CRF, loading).
        folder: For files that both sides read and write.
        processes: Of the CRF and of loading.
        classes: Classes of every image; None draws one to four, 1.5 in the mean, as in VOC.
        side: Height and width of training images; None takes CLIP's.
    """

    size: str
    device: str
    batch: int
    images: int
    folder: str
    processes: int = 2
    classes: int | None = None
    side: int | None = None

    @property
    def toy(self) -> bool:
        """Whether everything is tiny."""
        return self.size == 'toy'

    def autocast(self, dtype: torch.dtype | None) -> AbstractContextManager:
        """Mixed precision of a training step on a GPU; float32 on a CPU.

        Args:
            dtype: bfloat16 for ours, float16 for the baseline (as published).
        """
        if self.device == 'cpu' or dtype is None:
            return nullcontext()
        return torch.autocast(self.device, dtype)

    def to_json(self) -> dict[str, object]:
        """For the report; the folder is temporary and left out."""
        return {key: value for key, value in asdict(self).items() if key != 'folder'}


class Side:
    """One of the versions of a path that are compared: calling it does the work once."""

    def prepare(self) -> None:
        """Get ready for one call; not measured."""

    def __call__(self) -> object:
        """Do the work that is measured."""
        raise NotImplementedError

    def close(self) -> None:
        """End what ``prepare`` has started."""
