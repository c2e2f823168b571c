"""Segment voting (after "SAM-enhanced pseudo labels", arXiv 2305.05803)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from mmseg.registry import TASK_UTILS

from ..utils.errors import Missing, Refusal
from ..utils.files import read_bytes
from ..utils.images import open_image, photo_size
from ..utils.label_png import IGNORED, mask_path


def vote(
    label: np.ndarray, segments: np.ndarray, share: float = 0.5, cover: float = 0.85
) -> np.ndarray:
    """Give whole segments to the classes of a label map.

    With P_c the pixels of class c, segment m votes for the class with the largest |m ∩ P_c| (of
    equal ones for that of the lowest id), and goes to it if

        |m ∩ P_c| / |m| > share    or    |m ∩ P_c| / |P_c| > cover

    A class that was given segments is exactly these; all others keep the pixels that no other class
    was given. Undecided pixels (255) stay. Both are ids ``(H, W)``; segment 0 is none.
    """
    ids, segment = np.unique(segments, return_inverse=True)
    segment = segment.reshape(label.shape)
    counts = np.zeros((len(ids), 256), np.int64)
    np.add.at(counts, (segment, label), 1)
    objects = counts.copy()
    objects[:, [0, IGNORED]] = 0
    best, most = objects.argmax(1), objects.max(1)
    goes = (most > share * counts.sum(1)) | (most > cover * counts.sum(0)[best])
    goes &= ids != 0
    kept = np.where(np.isin(label, best[goes]), 0, label)
    voted = np.where(goes[segment], best[segment], kept)
    return np.where(label == IGNORED, IGNORED, voted).astype(np.uint8)


def read_segments(file: Path) -> np.ndarray:
    """Ids of segments (H, W) of a palette or grey PNG; other kinds are refused."""
    with open_image(read_bytes(file, 'segments'), file, 'segments', ('PNG',)) as image:
        if image.mode not in ('P', 'L', 'I;16'):
            raise Refusal(
                f'segments {file} are an image of mode {image.mode}; expected 8- or 16-bit palette '
                'or grey: one segment id per pixel, not a colour per pixel'
            )
        try:
            return np.array(image)
        except Exception as error:  # damage raises errors of many types
            raise Refusal(f'segments {file} cannot be read ({error}): make them again') from error


@TASK_UTILS.register_module()
class SegmentVoting:
    """Lets the segments of each photo, from any program, vote on its label map; see ``vote``.

    Args:
        folder: Folder of the segments: one palette or grey PNG of 8 or 16 bits for each photo,
            ``<folder>/<image id>.png``, of its size. It has to exist.
        share: See ``vote``, as for ``cover``.
    """

    in_workers = True

    def __init__(self, folder: str, share: float = 0.5, cover: float = 0.85) -> None:
        if not Path(folder).is_dir():
            raise Missing(f'SegmentVoting: the folder of the segments, {folder}, does not exist')
        if not 0 <= min(share, cover) <= max(share, cover) <= 1:
            raise Refusal(f'`share` and `cover` must be in [0, 1], got {share} and {cover}.')
        self.folder, self.numbers = folder, dict(share=share, cover=cover)
        self.settings: dict[str, Any] = dict(type='SegmentVoting', **self.numbers)

    def inputs(self, photos: Mapping[str, Path]) -> dict[str, Path]:
        """See ``refinement.Refinement.inputs``."""
        files = {f'segments/{name}': mask_path(self.folder, name) for name in photos}
        for photo, file in zip(photos.values(), files.values(), strict=True):
            if not file.is_file():
                raise Missing(f'photo {photo} has no segments: there is no {file}')
            found, size = read_segments(file).shape, photo_size(photo)
            if found != size:
                raise Refusal(
                    f'segments {file} are {found}, photo {photo} is {size} (height, width): make '
                    'them of this photo, as it is when upright'
                )
        return files

    def __call__(self, label: np.ndarray, sample: Mapping[str, Any]) -> np.ndarray:
        """See ``refinement.Refinement.__call__``."""
        segments = read_segments(mask_path(self.folder, sample['img_id']))
        small = mmcv.imresize(segments, label.shape[::-1], interpolation='nearest')
        return vote(label, small, **self.numbers)
