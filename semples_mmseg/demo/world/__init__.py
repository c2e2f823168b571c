"""A small procedural world on which weakly supervised segmentation can be shown in minutes."""

from .scenes import Scene, captioned_scene, photo, render, scene_rng, tagged_scene
from .sets import make_demo_set
from .vocabulary import (
    BACKGROUNDS,
    HABITATS,
    NEUTRALS,
    OBJECTS,
    PALETTE,
    SIZE,
    TAGS,
)

__all__ = [
    'BACKGROUNDS',
    'HABITATS',
    'NEUTRALS',
    'OBJECTS',
    'PALETTE',
    'SIZE',
    'TAGS',
    'Scene',
    'captioned_scene',
    'make_demo_set',
    'photo',
    'render',
    'scene_rng',
    'tagged_scene',
]
