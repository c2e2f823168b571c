"""Scenes of the demo world: objects on one or two textured regions, with their region maps."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .objects import draw_object
from .textures import COLS, ROWS, draw_texture
from .vocabulary import BACKGROUNDS, HABITATS, NEUTRALS, OBJECTS, PLAIN, SIZE

MIN_OBJECT_PIXELS = 40


class Scene(NamedTuple):
    """One drawn scene: RGB uint8 (64, 64, 3); uint8 (64, 64) of indices into ``TAGS`` or ``PLAIN``;
    and indices into ``OBJECTS``, one per drawn object.
    """

    image: np.ndarray
    regions: np.ndarray
    objects: tuple[int, ...]


def scene_rng(seed: int, stream: str, index: int) -> np.random.Generator:
    """The random generator of one scene; it does not depend on how many scenes are drawn."""
    return np.random.default_rng([seed, *stream.encode(), index])


def _split(rng: np.random.Generator) -> np.ndarray:
    """Split the frame by a random wavy line; bool (64, 64), true on the first side."""
    angle = rng.uniform(0, 2 * math.pi)
    x, y = COLS - SIZE / 2, ROWS - SIZE / 2
    along = x * math.cos(angle) - y * math.sin(angle)
    across = x * math.sin(angle) + y * math.cos(angle)
    wave = rng.uniform(1, 5) * np.sin(along * rng.uniform(0.05, 0.15) + rng.uniform(0, 6))
    return across + wave > rng.uniform(-0.12, 0.12) * SIZE


def _place(rng: np.random.Generator, region: np.ndarray, side: int) -> tuple[int, int]:
    """Choose a box of ``side`` pixels centred inside ``region``; return its top and left."""
    ys, xs = np.nonzero(region)
    margin = 0.4 * side
    inside = (np.minimum(ys, xs) > margin) & (np.maximum(ys, xs) < SIZE - margin)
    if inside.any():
        ys, xs = ys[inside], xs[inside]
    # Of six random centres, take the one with most of the region around it.
    tries = rng.integers(len(ys), size=6)
    padded = [
        region[max(0, ys[i] - 8) : ys[i] + 9, max(0, xs[i] - 8) : xs[i] + 9].mean() for i in tries
    ]
    best = tries[int(np.argmax(padded))]
    return int(ys[best] - side / 2), int(xs[best] - side / 2)


def render(
    rng: np.random.Generator,
    objects: Sequence[int],
    backgrounds: Sequence[int],
    sizes: tuple[float, float],
    plain: np.ndarray | None = None,
) -> Scene:
    """Draw a scene; of at most two indices into ``OBJECTS``, object i stands in region i.

    There are one or two indices into ``BACKGROUNDS``, one per region. ``sizes`` are the smallest
    and largest side of an object as a fraction of the frame. ``plain`` is the RGB in [0, 1] of a
    studio background that replaces the textures.
    """
    first = _split(rng)
    if plain is not None:
        image = np.broadcast_to(np.asarray(plain, np.float32), (SIZE, SIZE, 3)).copy()
        regions = np.full((SIZE, SIZE), PLAIN, np.uint8)
    else:
        image = draw_texture(rng, BACKGROUNDS[backgrounds[0]])
        regions = np.full((SIZE, SIZE), len(OBJECTS) + backgrounds[0], np.uint8)
        if len(backgrounds) > 1:
            second = draw_texture(rng, BACKGROUNDS[backgrounds[1]])
            image = np.where(first[..., None], image, second)
            regions[~first] = len(OBJECTS) + backgrounds[1]
    shrink = 0.85 if len(objects) > 1 else 1.0
    for index, kind in enumerate(objects):
        side = int(rng.uniform(*sizes) * SIZE * shrink)
        top, left = _place(rng, ~first if index else first, side)
        drawn = draw_object(rng, OBJECTS[kind], side)
        rows = slice(max(0, top), min(SIZE, top + side))
        cols = slice(max(0, left), min(SIZE, left + side))
        drawn = drawn[rows.start - top : rows.stop - top, cols.start - left : cols.stop - left]
        colour, alpha = drawn[..., :3], drawn[..., 3:]
        image[rows, cols] += alpha * (colour - image[rows, cols])
        regions[rows, cols][alpha[..., 0] > 0.5] = kind
    exposure = np.float32(rng.uniform(0.88, 1.08))
    grain = rng.standard_normal(image.shape, dtype=np.float32)
    image = np.clip(image * exposure + 0.015 * grain, 0, 1)
    return Scene((255 * image).astype(np.uint8), regions, tuple(int(k) for k in objects))


def render_visible(rng: np.random.Generator, *args: Any, **kwargs: Any) -> Scene:
    """Repeat ``render`` until at least 40 pixels of every object are visible."""
    while True:
        scene = render(rng, *args, **kwargs)
        if all((scene.regions == k).sum() >= MIN_OBJECT_PIXELS for k in scene.objects):
            return scene


def choose_objects(rng: np.random.Generator, count: int) -> list[int]:
    """Different random indices into ``OBJECTS``."""
    return [int(k) for k in rng.choice(len(OBJECTS), count, replace=False)]


def choose_background(rng: np.random.Generator) -> int:
    """A random index into ``BACKGROUNDS``."""
    return int(rng.integers(len(BACKGROUNDS)))


def tagged_scene(rng: np.random.Generator) -> Scene:
    """Draw a scene of the weakly tagged set, where objects and backgrounds co-occur.

    A quarter has two objects. In nine cases of ten the region of an object is its habitual
    background and a region without object is neutral; otherwise it is any of the ten backgrounds.
    There are two regions: on a single texture, the min-max normalisation hides a CAM that covers
    the background evenly.
    """
    objects = choose_objects(rng, 2 if rng.random() < 0.25 else 1)
    backgrounds = []
    for region in range(2):
        if rng.random() >= 0.9:
            backgrounds.append(choose_background(rng))
        elif region < len(objects):
            backgrounds.append(objects[region])
        else:
            backgrounds.append(len(HABITATS) + int(rng.integers(len(NEUTRALS))))
    return render_visible(rng, objects, backgrounds, sizes=(0.44, 0.74))
