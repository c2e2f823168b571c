"""Random numbers of transforms that depend on seed, epoch and image alone."""

import random
import zlib

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class SeedEachImage(BaseTransform):
    """Seed python and numpy from (seed, epoch, ``img_id``), for the transforms that follow.

    The augmentation of an image then does not depend on the numbers of processes and workers or on
    the batch size. ``EpochSeedHook`` sets seed and epoch.
    """

    def __init__(self) -> None:
        # Shared, because persistent workers keep the transforms of the first epoch.
        self._epoch = torch.zeros(2, dtype=torch.int64).share_memory_()

    def start_epoch(self, seed: int, epoch: int) -> None:
        """Set seed and epoch for the next images, in loader workers too."""
        self._epoch.copy_(torch.tensor([seed, epoch]))

    def transform(self, results: dict) -> dict:
        """Seed; the item stays as it is."""
        image = zlib.crc32(str(results['img_id']).encode())
        words = np.random.SeedSequence([*self._epoch.tolist(), image])
        seed = int(words.generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)
        return results
