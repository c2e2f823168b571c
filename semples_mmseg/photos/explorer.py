"""CAMs and masks of single photos, for any tags and any background score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..figures.pictures import overlay_cam
from ..figures.prompt_figure import prompt_maps, usual_method
from ..figures.rows import load_model
from ..figures.words import NearWord, encode_words, nearest_words, read_words
from ..inference import SemPLeSInferencer
from ..masks.crf import crf_on_labels
from ..masks.generate import ENTRY
from ..masks.refinement import DenseCRF
from ..masks.threshold_curve import enlarged
from ..models.soft_masks import label_map
from ..utils.errors import Missing
from ..utils.label_png import class_colours
from ..utils.record import RECORD, Record
from ..utils.sizes import limited_size, resize_bicubic
from .overlays import overlay_mask
from .run import Run


@dataclass(frozen=True)
class PhotoCams:
    """The CAMs of a photo for given tags.

    Attributes:
        photo: uint8 RGB, ``(H, W, 3)``.
        tags: The n tags, in the order of the classes.
        classes: Their 0-based classes.
        cams: Float ``(n, H, W)`` in [0, 1].
    """

    photo: np.ndarray
    tags: tuple[str, ...]
    classes: tuple[int, ...]
    cams: np.ndarray


class Explorer:
    """The mask generator of a run on your own photos.

    Args:
        run: The run; its stages must be finished.

    Attributes:
        classes: Names of the object classes in masks and tables.
        palette: RGB of each id, the background first.
        background_score: The score that the run's pseudo masks were made with.

    Raises:
        FileNotFoundError: If the run has no weights or no pseudo masks yet.
    """

    def __init__(self, run: Run) -> None:
        weights = run.stage_file('refine')
        for needed in (run.semples_config, weights, run.masks / RECORD):
            if not needed.is_file():
                raise Missing(
                    f'{needed} is missing: the run is not finished; continue it with '
                    f'semples-mmseg fit --out {run.folder}'
                )
        self._inferencer = SemPLeSInferencer(
            str(run.semples_config), f'weights:{weights}', scope='mmseg', device='cpu'
        )
        self._inferencer.show_progress = False
        self._run = run
        self._model: Any = self._inferencer.model
        self.classes = tuple(run.class_names())
        self.palette = class_colours(len(self.classes) + 1)
        self.background_score = Record(run.masks)[ENTRY].settings['background_score']

    def use_stage(self, stage: str) -> None:
        """Load mask generator and prompts from the end of a stage; CLIP stays the same."""
        load_model(self._model, str(self._run.stage_file(stage)))

    def compute_cams(self, photo: np.ndarray, tags: Sequence[str]) -> PhotoCams:
        """Compute the CAMs of a photo.

        Args:
            photo: uint8 RGB, ``(H, W, 3)``.
            tags: Names of ``classes`` that the photo shows.
        """
        wanted = [name for name in self.classes if name in tags]
        bgr = np.ascontiguousarray(photo[..., ::-1])
        sample = self._inferencer([bgr], tags=[wanted], return_datasamples=True)
        classes = tuple(sample.cam_classes.tolist())
        cams = enlarged(sample.cams.data.float().cpu(), photo.shape[:2]).numpy()
        return PhotoCams(photo, tuple(self.classes[k] for k in classes), classes, cams)

    def mask(self, found: PhotoCams, background_score: float, crf: bool = False) -> np.ndarray:
        """The label map of CAMs: ids (0 background, class + 1), uint8 ``(H, W)``.

        Args:
            found: The CAMs.
            background_score: Score of the background, 0..1; higher gives smaller masks.
            crf: Whether to refine by the dense CRF with VOC's published settings.

        Raises:
            ImportError: If the CRF's library is not installed.
        """
        classes = torch.tensor(found.classes, dtype=torch.long)
        label = label_map(torch.from_numpy(found.cams), classes, background_score)
        ids = label.to(torch.uint8).numpy()
        if crf:
            published = DenseCRF('voc')
            present = [k + 1 for k in found.classes]
            return crf_on_labels(
                found.photo, ids, present, published.parameters, published.certainty
            )
        return ids

    def cam_picture(self, found: PhotoCams, tag: str | None = None) -> np.ndarray:
        """CAMs over the photo, uint8 RGB; for one tag, or the maximum over all."""
        cams = found.cams if tag is None else found.cams[found.tags.index(tag)]
        return overlay_cam(found.photo, cams)

    @torch.no_grad()
    def nearest_words(self, count: int = 5) -> dict[str, list[NearWord]]:
        """The nouns nearest to the learned background prompt of each class.

        Raises:
            ValueError: If none of the words is known to this CLIP.
        """
        known, features = encode_words(self._model.text_head, read_words())
        prompts = self._model.prompt_features(torch.arange(len(self.classes)))
        return nearest_words(prompts, self.classes, known, features, count)

    @torch.no_grad()
    def prompt_picture(self, photo: np.ndarray, tag: str) -> np.ndarray:
        """Where CLIP sees the learned background prompt of a tag, over the photo, uint8 RGB.

        Red is the most similar part of this photo, blue the least.
        """
        features = self._model.prompt_features(torch.tensor([self.classes.index(tag)]))
        method = usual_method(self._model.image_head)
        maps = prompt_maps(self._model, photo, features, method).maps[0]
        spread = maps.max() - maps.min()
        return overlay_cam(photo, (maps - maps.min()) / max(spread, 1e-12))

    def mask_picture(self, photo: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """A mask over its photo, uint8 RGB; the background stays as it is."""
        return overlay_mask(photo, mask, self.palette)


def fit_within(photo: np.ndarray, side: int) -> np.ndarray:
    """Shrink a photo whose longer side is longer than ``side`` pixels."""
    height, width = photo.shape[:2]
    return resize_bicubic(photo, limited_size((height, width), side))
