"""A small drawn world, on which weakly supervised segmentation can be shown in minutes."""

from .scenes import Scene, render, scene_rng, tagged_scene
from .sets import make_demo_set
from .vocabulary import BACKGROUNDS, HABITATS, NEUTRALS, OBJECTS, PALETTE, SIZE, TAGS

__all__ = [
    'BACKGROUNDS',
    'HABITATS',
    'NEUTRALS',
    'OBJECTS',
    'PALETTE',
    'SIZE',
    'TAGS',
    'Scene',
    'make_demo_set',
    'render',
    'scene_rng',
    'tagged_scene',
]
