"""Confusion counts of CAM label maps for every background score at once.

The label of a pixel is the argmax over [background score t, CAMs of the present classes]. The best
class does not depend on t; only the comparison of its score with t does. A histogram over (best
class, true class, number of thresholds below the best score) therefore gives the counts for all t
after one pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..utils.errors import Refusal
from ..utils.label_png import check_ids
from .scores import SegmentationScores, segmentation_scores


def default_thresholds() -> list[float]:
    """Background scores of the published sweep: 0.40, 0.41, ..., 0.59."""
    return [step / 100 for step in range(40, 60)]


class ThresholdCurve:
    """Histograms that give exact confusion counts at each of T background scores.

    Scores are compared with thresholds in float32, as in the segmentor's label maps: a pixel is
    foreground when ``float32(score) > float32(t)``, so ties go to the background.

    Args:
        num_objects: Number of object classes K; label ids are 0 (background) and 1..K.
        thresholds: Background scores, strictly ascending (in float32); the published sweep
            0.40..0.59 by default.
        ignore_index: True value of the pixels that are left out.

    Attributes:
        counts: int64 histogram of shape ``(K + 1, K + 1, T + 1)``: [best label, true label,
            number of thresholds below the best score]. Best label 0 stands for an image without
            present classes.

    Raises:
        ValueError: If ``thresholds`` is empty or not strictly ascending.

    Example:
        >>> curve = ThresholdCurve(num_objects=1, thresholds=[0.3, 0.6])
        >>> curve.update(torch.tensor([[[0.2, 0.5]]]), torch.tensor([0]), torch.tensor([[0, 1]]))
        >>> curve.scores().miou.tolist()
        [100.0, 25.0]
    """

    def __init__(
        self,
        num_objects: int,
        thresholds: Sequence[float] | None = None,
        ignore_index: int = 255,
    ) -> None:
        self.thresholds = default_thresholds() if thresholds is None else list(thresholds)
        edges = np.asarray(self.thresholds, np.float32)
        if not len(edges) or not np.all(np.diff(edges) > 0):
            raise Refusal(
                '`thresholds` must be a non-empty, strictly ascending list of background scores '
                f'(in float32), got {self.thresholds}.'
            )
        self.num_objects = num_objects
        self.ignore_index = ignore_index
        self._edges = torch.from_numpy(edges)
        labels = num_objects + 1
        self.counts = np.zeros((labels, labels, len(edges) + 1), np.int64)

    def histogram(
        self, cams: Tensor, cam_classes: Tensor, target: Tensor, name: str = ''
    ) -> tuple[np.ndarray, np.ndarray]:
        """Count the pixels of one image, without adding them.

        Args:
            cams: Scores of the n present classes, shape ``(n, H, W)``; n may be 0.
            cam_classes: Their object classes 0..K-1, int64 of shape ``(n,)``.
            target: True label ids 0..K or ``ignore_index``, shape ``(H, W)`` or ``(1, H, W)``.
            name: The image, for the error messages.

        Returns:
            The positions in the flattened ``counts`` that are not zero, and their values: a few
            hundred numbers, small enough to keep for every image.

        Raises:
            ValueError: If sizes differ, a class or a true label is out of range, or a score is
                not finite.
        """
        if cams.ndim != 3 or cam_classes.shape != cams.shape[:1]:
            raise Refusal(
                f'Image {name!r}: expected CAMs (n, H, W) with n classes, got '
                f'{tuple(cams.shape)} with classes of shape {tuple(cam_classes.shape)}.'
            )
        if target.shape[-2:] != cams.shape[-2:] or target.numel() != cams.shape[-2:].numel():
            raise Refusal(
                f'Image {name!r}: the CAMs are {tuple(cams.shape[-2:])} but the ground truth is '
                f'{tuple(target.shape)}; CAMs must be resized to the original image and the mask '
                'loaded without resizing.'
            )
        labels, bins = self.num_objects + 1, len(self.thresholds) + 1
        target = target.to(cams.device, torch.int64).reshape(cams.shape[-2:])
        check_ids(target, labels, f'ground truth of image {name!r}', self.ignore_index)
        # ignored pixels become an extra true label, which is cut off the histogram below: this is
        # faster than selecting the others
        target = torch.where(target == self.ignore_index, labels, target)
        index = target * bins
        if len(cam_classes):
            cam_classes = cam_classes.to(cams.device)
            if int(cam_classes.min()) < 0 or int(cam_classes.max()) >= self.num_objects:
                raise Refusal(
                    f'Image {name!r}: CAM classes {cam_classes.tolist()} are not all in '
                    f'0..{self.num_objects - 1}; model and data set differ in their classes.'
                )
            best, which = cams.float().max(dim=0)
            if not bool(torch.isfinite(best).all()):
                raise Refusal(f'Image {name!r}: its CAMs hold values that are not finite.')
            # number of thresholds strictly below the score, i.e. the t with score > t
            index += torch.bucketize(best, self._edges.to(best.device))
            index += (cam_classes + 1)[which] * ((labels + 1) * bins)
        shape = (labels, labels + 1, bins)
        counts = torch.bincount(index.flatten(), minlength=math.prod(shape)).view(shape)
        counts = counts[:, :labels].flatten()
        where = counts.nonzero().flatten()
        return where.cpu().numpy(), counts[where].cpu().numpy()

    def add(self, where: np.ndarray, values: np.ndarray) -> None:
        """Add what ``histogram`` returned, here or in another process."""
        # a view; the positions of one image are distinct, so plain indexing adds each once
        self.counts.reshape(-1)[where] += values

    def update(self, cams: Tensor, cam_classes: Tensor, target: Tensor, name: str = '') -> None:
        """Count one image; the arguments are those of ``histogram``."""
        self.add(*self.histogram(cams, cam_classes, target, name))

    def index(self, threshold: float) -> int:
        """Position of a background score among the thresholds (as float32).

        Raises:
            ValueError: If it is not one of them.
        """
        edges = self._edges.numpy()
        found = int(np.searchsorted(edges, np.float32(threshold)))
        if found == len(edges) or edges[found] != np.float32(threshold):
            raise Refusal(f'{threshold} is not one of the thresholds {self.thresholds}.')
        return found

    def confusion(self) -> np.ndarray:
        """Confusion matrices, int64 (T, K + 1, K + 1): rows true, columns predicted labels."""
        # foreground[best, true, i]: pixels whose score beats threshold i, i.e. with bin > i
        foreground = self.counts[1:, :, ::-1].cumsum(-1)[:, :, -2::-1]
        background = self.counts.sum((0, 2))[:, None] - foreground.sum(0)
        return np.concatenate([background[None], foreground]).transpose(2, 1, 0)

    def scores(self) -> SegmentationScores:
        """Measures in percent with a leading axis of T, one entry per threshold."""
        return segmentation_scores(self.confusion())
