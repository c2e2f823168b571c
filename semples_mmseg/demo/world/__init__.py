"""A small drawn world, on which weakly supervised segmentation can be shown in minutes."""

from .sets import make_demo_set
from .vocabulary import (
    BACKGROUNDS,
    HABITATS,
    NEUTRALS,
    OBJECTS,
    PALETTE,
    PLAIN,
    SIZE,
    TAGS,
)

__all__ = [
    'BACKGROUNDS',
    'HABITATS',
    'NEUTRALS',
    'OBJECTS',
    'PALETTE',
    'PLAIN',
    'SIZE',
    'TAGS',
    'make_demo_set',
]
