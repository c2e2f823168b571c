"""Drawing of the demo world."""

import hashlib

import numpy as np
import pytest
from pretraining import scenes

from semples_mmseg.demo.world import BACKGROUNDS, HABITATS, NEUTRALS, OBJECTS, SIZE, TAGS
from semples_mmseg.demo.world.objects import DRAWERS, TWO_TONES, draw_object
from semples_mmseg.demo.world.scenes import scene_rng, tagged_scene
from semples_mmseg.demo.world.textures import TEXTURES, draw_texture


def test_everything_named_can_be_drawn():
    assert tuple(TEXTURES) == BACKGROUNDS and len(HABITATS) == len(OBJECTS)
    assert tuple(DRAWERS) == tuple(TWO_TONES) == OBJECTS
    for name in BACKGROUNDS:
        first, other = (draw_texture(np.random.default_rng(seed), name) for seed in (0, 1))
        assert first.shape == (SIZE, SIZE, 3) and first.dtype == np.float32, name
        assert 0 <= first.min() < first.max() <= 1 and not np.array_equal(first, other), name
    for name in OBJECTS:
        drawn = draw_object(np.random.default_rng(0), name, 40)
        assert drawn.shape == (40, 40, 4) and drawn[0, 0, 3] == 0, name
        assert 0.1 < (drawn[..., 3] > 0.5).mean() < 0.8, name


@pytest.mark.parametrize('draw', [tagged_scene, scenes.captioned_scene, scenes.photo])
def test_scene_is_its_generators_alone(draw):
    np.random.seed(0)
    one, two = draw(scene_rng(3, 'a', 1)), draw(scene_rng(3, 'a', 1))
    assert np.array_equal(one.image, two.image) and np.array_equal(one.regions, two.regions)
    assert one.image.dtype == one.regions.dtype == np.uint8
    other = draw(scene_rng(3, 'b', 1))
    assert not np.array_equal(one.image, other.image)
    shown = {int(k) for k in np.unique(one.regions) if k < len(OBJECTS)}
    assert shown == set(one.objects)


def test_statistics_of_the_tagged_set():
    """Own background with 0.9 + 0.1 / 10, a quarter with two objects, neutral elsewhere."""
    drawn = [tagged_scene(scene_rng(5, 'statistics', index)) for index in range(250)]
    double = np.mean([len(scene.objects) == 2 for scene in drawn])
    assert abs(double - 0.25) < 0.09
    at_home, neutral = [], []
    for scene in drawn:
        places = {TAGS[k] for k in np.unique(scene.regions) if k >= len(OBJECTS)}
        at_home += [HABITATS[k] in places for k in scene.objects]
        if len(scene.objects) == 1:
            neutral.append(bool(places & set(NEUTRALS)))
    assert 0.85 < np.mean(at_home) < 0.97
    assert 0.87 < np.mean(neutral) < 0.99
    assert 0.11 < np.mean([(scene.regions < len(OBJECTS)).mean() for scene in drawn]) < 0.18


def test_captioned_scenes_are_nearly_independent():
    drawn = [scenes.captioned_scene(scene_rng(5, 'statistics', index)) for index in range(250)]
    assert 0.1 < np.mean([not scene.objects for scene in drawn]) < 0.3
    at_home = [
        len(OBJECTS) + k in scene.regions
        for scene in drawn
        for k in scene.objects
        if len(scene.objects) == 1
    ]
    assert 0.3 < np.mean(at_home) < 0.6


def test_scenes_are_those_of_the_published_figures():
    """Results in the docs hold for these pixels; ``VERSION`` changes with them."""
    scene = tagged_scene(scene_rng(0, 'train', 0))
    assert hashlib.sha256(scene.image.tobytes() + scene.regions.tobytes()).hexdigest() == (
        '9dca96047dfe28f0c302fb6e1994d505a42b0280fbeba1ccc837d27cf17df49b'
    )
