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
from ..figures.words import NearWord, encode_words, nearest_words
from ..inference import SemPLeSInferencer
from ..masks.crf import PSEUDO_MASK_CRF, crf_on_labels
from ..masks.generate import recorded_score
from ..masks.threshold_curve import enlarged
from ..models.soft_masks import label_map
from ..utils.errors import Missing
from ..utils.label_png import class_colours
from ..utils.record import RECORD, Record
from ..utils.sizes import limited_size, resize_bicubic
from .run import Run
from .vocabulary import known_words


@dataclass(frozen=True)
class PhotoCams:
    """The CAMs of a photo for given tags.

    Attributes:
        photo: uint8 RGB, ``(H, W, 3)``.
        tags, classes: The n tags, in the order of the classes, and their 0-based classes.
        cams: Float ``(n, H, W)`` in [0, 1].
    """

    photo: np.ndarray
    tags: tuple[str, ...]
    classes: tuple[int, ...]
    cams: np.ndarray

    @classmethod
    def of(
        cls,
        inferencer: SemPLeSInferencer,
        names: Sequence[str],
        photo: np.ndarray,
        tags: Sequence[str],
    ) -> PhotoCams:
        """Predict a photo, uint8 RGB ``(H, W, 3)``, with those ``names`` that are ``tags``."""
        bgr = np.ascontiguousarray(photo[..., ::-1])
        wanted = [name for name in names if name in tags]
        sample = inferencer([bgr], tags=[wanted], return_datasamples=True)
        classes = tuple(sample.cam_classes.tolist())
        cams = enlarged(sample.cams.data.float().cpu(), photo.shape[:2]).numpy()
        return cls(photo, tuple(names[k] for k in classes), classes, cams)

    def picture(self, tag: str | None = None) -> np.ndarray:
        """CAMs over the photo, uint8 RGB; of one tag, or the maximum over all."""
        return overlay_cam(
            self.photo, self.cams if tag is None else self.cams[self.tags.index(tag)]
        )

    def mask(self, background_score: float, crf: bool = False) -> np.ndarray:
        """The label map: ids (0 background, class + 1), uint8 ``(H, W)``.

        Args:
            background_score: Score of the background, 0..1; higher gives smaller masks.
            crf: Whether to refine by the dense CRF with VOC's published settings.

        Raises:
            ImportError: If the CRF's library is not installed.
        """
        classes = torch.tensor(self.classes, dtype=torch.long)
        label = label_map(torch.from_numpy(self.cams), classes, background_score)
        ids = label.to(torch.uint8).numpy()
        present = [k + 1 for k in self.classes]
        return crf_on_labels(self.photo, ids, present, PSEUDO_MASK_CRF['voc']) if crf else ids


class Explorer:
    """The mask generator of a finished run on your own photos.

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
        self.background_score = recorded_score(Record(run.masks))

    def use_stage(self, stage: str) -> None:
        """Load mask generator and prompts from the end of a stage; CLIP stays the same."""
        load_model(self._model, str(self._run.stage_file(stage)))

    def compute_cams(self, photo: np.ndarray, tags: Sequence[str]) -> PhotoCams:
        """The CAMs of a photo, uint8 RGB ``(H, W, 3)``, for names of ``classes`` that it shows."""
        return PhotoCams.of(self._inferencer, self.classes, photo, tags)

    @torch.no_grad()
    def nearest_words(self, count: int = 5) -> dict[str, list[NearWord]]:
        """The nouns nearest to the learned background prompt of each class.

        Raises:
            ValueError: If none of the words is known to this CLIP.
        """
        words = known_words(self._run.fit_settings().weights)
        known, features = encode_words(self._model.text_head, words)
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
        return overlay_cam(photo, (maps - maps.min()) / max(np.ptp(maps), 1e-12))


def fit_within(photo: np.ndarray, side: int) -> np.ndarray:
    """Shrink a photo whose longer side is longer than ``side`` pixels."""
    return resize_bicubic(photo, limited_size(photo.shape[:2], side))  # type: ignore[arg-type]
