"""CLIP chooses the background score, without pixel labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from scipy.interpolate import CubicSpline
from torch import Tensor

from ..models.losses.pairs import similarity
from ..models.segmentors.semples import SemPLeS
from ..utils.errors import Refusal
from ..utils.parallel import progress
from .threshold_curve import enlarged

SCORES = tuple(step / 50 for step in range(15, 41))
"""Candidates: 0.30, 0.32, ..., 0.80."""
TRIED = 6
"""So many of them are tried; between them the fit is smooth."""
SOFTNESS = 0.015
"""Difference of two fits, means of logarithms, at which the better one has e times the weight."""
SHARE = 0.65
"""Share of the weight that the chosen score has together with all candidates below it."""


def foreground_fit(
    model: SemPLeS, pixels: Tensor, cams: Tensor, classes: Tensor, scores: Tensor
) -> Tensor:
    """How well the hard masks of one image show their class without its background, (T, n).

        log cos(v_f, u_f) + log(1 - cos(v_f, u_b))

    where v_f is the CLIP feature of the image without the pixels that are labelled otherwise at one
    of T background ``scores``: the two foreground terms of equation 3, with equal weights.
    ``pixels`` are the image at CLIP's input size, (3, s, s), ``cams`` (n, H, W) in [0, 1] of its
    n > 0 present ``classes``, 0-based.
    """
    cams = enlarged(cams, pixels.shape[-2:])
    thresholds = scores.view(-1, 1, 1, 1)
    own = F.one_hot(cams.argmax(0), len(cams)).permute(2, 0, 1) > 0
    masks = ((cams > thresholds) & own).to(pixels).flatten(0, 1)[:, None]
    foreground = model.image_head(masks * pixels)
    label = model.text_head.class_features[classes].repeat(len(scores), 1)
    prompt = model.prompt_features(classes).repeat(len(scores), 1)
    fit = similarity(foreground, label).log() + (1 - similarity(foreground, prompt)).log()
    return fit.view(len(scores), -1)


@torch.no_grad()
def choose_background_score(
    model: Any, batches: Iterable[dict[str, Any]], scores: Sequence[float] = SCORES
) -> float:
    """Choose a background score by how well the foregrounds fit their tags, without pixel labels.

    The fit is flat near its maximum, whose position is random. Therefore each candidate has a
    weight, softmax(fit / ``SOFTNESS``), and a quantile of these weights is chosen. It is above the
    median, because some background around an object hardly changes CLIP's features. CLIP gets the
    first scale of each image, cut out at ``TRIED`` candidates; the fit of the others is
    interpolated by a cubic spline.

    Args:
        model: A ``SemPLeS`` after prompt learning, on its device; it is put in eval mode.
        batches: Batches of a test dataloader.
        scores: Candidates, ascending.

    Returns:
        The lowest candidate that has ``SHARE`` of the weight together with all candidates below it.

    Raises:
        Refusal: If the model has no CLIP, its prompts were never trained, or no image has a tag.
    """
    if not isinstance(model, SemPLeS):
        raise Refusal(
            f'a {type(model).__name__} has no CLIP to choose the background score: give '
            'one (--background-score 0.4)'
        )
    if not model.prompt_learner.is_trained(model.text_head):
        raise Refusal(
            'the prompts of this checkpoint were never trained, so CLIP cannot choose the '
            'background score by them: give one (--background-score 0.4), or the weights of a '
            'stage that trains prompts'
        )
    model.eval()
    fits = []
    tried = np.linspace(0, len(scores) - 1, min(TRIED, len(scores))).round().astype(int)
    thresholds = torch.tensor([scores[index] for index in tried]).to(model.clip_fingerprint)
    for batch in progress(batches, 'choosing the background score'):
        data = model.data_preprocessor(batch, False)
        images = data['inputs'] if isinstance(data['inputs'], Tensor) else data['inputs'][0]
        for image, sample in zip(images, model(**data, mode='predict'), strict=True):
            if len(sample.cam_classes):
                pixels = model.image_head.prepare(image[None])[0]
                cams, classes = sample.cams.data, sample.cam_classes
                fit = foreground_fit(model, pixels, cams, classes, thresholds)
                fits.append(fit.double())
    if not fits:
        raise Refusal('no image has a tag, so there is nothing to choose a background score by')
    fit = torch.cat(fits, dim=1)
    mean = fit.mean(1).cpu().numpy()
    if len(scores) > len(tried):
        mean = CubicSpline(tried, mean)(np.arange(len(scores)))
    below = torch.from_numpy(mean / SOFTNESS).softmax(0).cumsum(0)
    chosen = scores[int((below >= SHARE).nonzero()[0])]
    print_log(
        f'background score {chosen:g}, chosen by CLIP on {fit.shape[1]} pairs of image and tag; no '
        'pixel label was used',
        logger='current',
    )
    return chosen
