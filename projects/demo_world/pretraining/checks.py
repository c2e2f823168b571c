"""Accuracy of the two models on scenes of their own.

The zero-shot checks are what the method depends on: a CLIP that confuses "sky" and "aeroplane"
cannot tell an object from its habitual background.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pretraining import backbone as vit
from pretraining import clip
from pretraining.scenes import photo
from semples_mmseg.demo.world import BACKGROUNDS, OBJECTS, TAGS
from semples_mmseg.demo.world.scenes import Scene, render, scene_rng

GOALS = dict(
    clip_backgrounds=0.99, clip_cut_outs=0.97, clip_foreign=0.90, tags_token=0.90, tags_patches=0.90
)
"""Accuracies that the models should reach."""

TEMPLATE = 'a photo of {}.'


def _stack(scenes: list[Scene]) -> tuple[Tensor, Tensor]:
    images = torch.from_numpy(np.stack([scene.image for scene in scenes]))
    return images, torch.from_numpy(np.stack([scene.regions for scene in scenes]))


def _foreign(rng: np.random.Generator, kind: int) -> Scene:
    """An object on two other backgrounds than its own."""
    others = [place for place in range(len(BACKGROUNDS)) if place != kind]
    return render(rng, [kind], [int(k) for k in rng.choice(others, 2)], sizes=(0.44, 0.74))


@torch.no_grad()
def check_clip(
    encode_image: Callable[[Tensor], Tensor], text: Tensor, seed: int, count: int = 300
) -> dict[str, float]:
    """Zero-shot accuracy of a CLIP on fresh scenes, which no pretraining draws.

    Args:
        encode_image: Normalised images (n, 3, 64, 64) -> features (n, C).
        text: Features (16, C) of "a photo of {tag}." for all tags, unit length.
        seed: Seed of the scenes.
        count: Scenes per check.

    Returns:
        ``clip_backgrounds``: backgrounds alone, among all 16 names. ``clip_cut_outs``: objects
        with everything else set to zero, among all 16. ``clip_foreign``: objects on another
        background than their own, among the six objects.
    """
    kinds = torch.arange(count) % len(OBJECTS)
    places = torch.arange(count) % len(BACKGROUNDS)
    bare, _ = _stack(
        [
            render(scene_rng(seed, 'check-bare', i), [], [int(place)], sizes=(0.44, 0.74))
            for i, place in enumerate(places)
        ]
    )
    foreign, regions = _stack(
        [_foreign(scene_rng(seed, 'check-foreign', i), int(kind)) for i, kind in enumerate(kinds)]
    )
    inside = (regions == kinds[:, None, None]).float()[:, None]

    def similarity(images: Tensor) -> Tensor:
        return F.normalize(encode_image(images), dim=1) @ text.T

    def accuracy(scores: Tensor, truth: Tensor) -> float:
        return float((scores.argmax(1) == truth).float().mean())

    whole = clip.normalise(foreign)
    return dict(
        clip_backgrounds=accuracy(similarity(clip.normalise(bare)), len(OBJECTS) + places),
        clip_cut_outs=accuracy(similarity(whole * inside), kinds),
        clip_foreign=accuracy(similarity(whole)[:, : len(OBJECTS)], kinds),
    )


def check_tiny_clip(model: clip.TinyClip, seed: int, count: int = 300) -> dict[str, float]:
    """``check_clip`` for a freshly trained model."""
    with torch.no_grad():
        tokens = clip.tokenize([TEMPLATE.format(tag) for tag in TAGS], model.rows)
        text = clip.encode_text(model.model, tokens)
    return check_clip(model.model.encode_image, text, seed, count)


@torch.no_grad()
def check_backbone(model: torch.nn.Module, seed: int, count: int = 300) -> dict[str, float]:
    """Share of right yes/no answers about the 16 tags of fresh photos.

    Returns:
        ``tags_token`` by the class token, ``tags_patches`` by the mean over the patches.
    """
    scenes = [photo(scene_rng(seed, 'check-photo', i)) for i in range(count)]
    images, _ = _stack(scenes)
    tags = torch.from_numpy(np.stack([vit.scene_tags(scene) for scene in scenes])).bool()
    token, patches = model(vit.normalise(images))
    return dict(
        tags_token=float(((token > 0) == tags).float().mean()),
        tags_patches=float(((patches.mean(1) > 0) == tags).float().mean()),
    )
