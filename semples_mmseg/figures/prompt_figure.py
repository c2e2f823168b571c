"""Where in an image CLIP sees a prompt: the learned one beside manual ones (SemPLeS, figure 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..models.clip.image_head import CLIPImageHead
from ..models.clip.patch_features import has_patch_tokens, patch_features, window_features
from ..models.soft_masks import min_max
from ..utils.errors import Refusal
from .pictures import overlay_cam, picture_grid

CLIMS_BACKGROUNDS = (
    *('tree', 'river', 'sea', 'lake', 'water'),
    *('railway', 'railroad', 'track', 'stone', 'rocks'),
)
"""The backgrounds that CLIMS (arXiv 2203.02668) names by hand for VOC."""


class PromptMaps(NamedTuple):
    """Cosines of n prompts, float32: (n, h, w) with parts of an image, (n,) with the whole."""

    maps: np.ndarray  # clamped at 0
    scores: np.ndarray


def usual_method(head: CLIPImageHead) -> str:
    """``'patches'``, or ``'windows'`` for a CLIP that has no patch tokens."""
    return 'patches' if has_patch_tokens(head) else 'windows'


@torch.no_grad()
def prompt_maps(
    model: Any, image: np.ndarray, features: Tensor, method: str = 'patches'
) -> PromptMaps:
    """Compare the parts of an image with text features.

    Args:
        image: uint8 RGB (H, W, 3), resized to CLIP's input size without its aspect ratio.
        features: (n, D) unit vectors, of ``model.prompt_features`` or
            ``model.text_head.encode_sentences``.
        method: ``'patches'`` or ``'dense'`` for ``patch_features``, which not every CLIP has;
            ``'windows'`` for ``window_features``.
    """
    bgr = torch.from_numpy(np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1)))
    (normalised,) = model.data_preprocessor(dict(inputs=[[bgr]]))['inputs'][0]
    head = model.image_head
    pixels = head.prepare(normalised[None])
    if method == 'windows':
        parts = window_features(head, normalised[None])[0]
    else:
        parts = patch_features(head, pixels, method == 'dense')[0]
    maps = (parts @ features.T).clamp(min=0).permute(2, 0, 1)
    scores = (head(pixels) @ features.T)[0]
    return PromptMaps(maps.cpu().numpy(), scores.cpu().numpy())


def trained_prompts(model: Any, checkpoint: dict[str, Any], path: str) -> Tensor:
    """Features (K, D) of the trained prompts of a checkpoint, which the model has loaded."""
    learner = getattr(model, 'prompt_learner', None)
    given = checkpoint.get('state_dict', checkpoint)
    if learner is None or any(f'prompt_learner.{key}' not in given for key in learner.state_dict()):
        raise Refusal(
            f'{path} has no prompts: give a SemPLeS and weights of stage prompt or refine'
        )
    if not learner.is_trained(model.text_head):
        raise Refusal(f'{path} has prompts that are not trained yet: give weights of prompt')
    with torch.no_grad():
        return model.prompt_features(torch.arange(model.num_classes))


def draw_prompts(
    images: Sequence[np.ndarray],
    maps: Sequence[PromptMaps],
    words: Sequence[str] = (),
    rows: Sequence[str] = (),
    cell: int = 160,
) -> Image.Image:
    """Draw rows of image, learned prompt, and the highest, lowest and mean of manual prompts.

    Every map is coloured from blue at its lowest to red at its highest value. Below it are the
    cosine of the prompt with the whole image, which ranks manual prompts, and the two values.

    Args:
        images: uint8 RGB (H, W, 3).
        maps: Of each image: the map of the learned prompt, then one for each of ``words``.
        words: The n words of the manual prompts; without any there are no columns for them.
    """
    columns: dict[str, list[np.ndarray]] = {'image': list(images)}
    captions: dict[str, list[str]] = {}

    def add(column: str, image: np.ndarray, name: str, seen: np.ndarray, score: float) -> None:
        caption = f'{name} ({score:.2f})\n{seen.min():.2f} to {seen.max():.2f}'
        captions.setdefault(column, []).append(caption)
        scaled = min_max(torch.from_numpy(seen), 1e-8).numpy()
        columns.setdefault(column, []).append(overlay_cam(image, scaled))

    for image, (seen, scores) in zip(images, maps, strict=True):
        add('learned prompt', image, 'prompt', seen[0], scores[0])
        if words:
            for column, pick in (('highest', np.argmax), ('lowest', np.argmin)):
                n = int(pick(scores[1:]))
                add(f'manual, {column}', image, words[n], seen[n + 1], scores[n + 1])
            title = f'manual, mean of {len(words)}'
            add(title, image, 'mean', seen[1:].mean(0), scores[1:].mean())
    return Image.fromarray(picture_grid(columns, cell, rows, captions))
