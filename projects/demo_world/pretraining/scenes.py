"""Scenes of the two pretraining sets."""

import numpy as np

from semples_mmseg.demo.world.scenes import (
    Scene,
    choose_background,
    choose_objects,
    render_visible,
)


def captioned_scene(rng: np.random.Generator, co_occurrence: float = 0.4) -> Scene:
    """Draw a scene for the tiny CLIP, where objects and backgrounds are nearly independent.

    A fifth of the scenes has no object, a quarter of the others has two; some have a plain
    background, often the mid grey that a masked region has.

    Args:
        rng: Random generator.
        co_occurrence: Probability that a region is forced to be the habitual background of its
            object.
    """
    count = 0 if rng.random() < 0.2 else 2 if rng.random() < 0.25 else 1
    objects = choose_objects(rng, count)
    backgrounds = []
    for region in range(1 if count < 2 and rng.random() < 0.3 else 2):
        at_home = region < count and rng.random() < co_occurrence
        backgrounds.append(objects[region] if at_home else choose_background(rng))
    plain = None
    if count and rng.random() < 0.12:
        kind = rng.random()
        grey = 0.45 if kind < 0.5 else rng.random()
        plain = np.full(3, grey) if kind < 0.75 else rng.random(3)
    return render_visible(rng, objects, backgrounds, sizes=(0.32, 0.85), plain=plain)


def photo(rng: np.random.Generator) -> Scene:
    """Draw a photo for the backbone: one large object, or none, on independent backgrounds."""
    objects = choose_objects(rng, 1 if rng.random() < 0.9 else 0)
    backgrounds = [choose_background(rng) for _ in range(rng.integers(1, 3))]
    return render_visible(rng, objects, backgrounds, sizes=(0.55, 1.0))
