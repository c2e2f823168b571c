"""Transforms of the pipelines: checked loading, and packing of weakly labelled images."""

from .formatting import PackWeakInputs
from .limit_side import LimitSide
from .loading import LoadCheckedAnnotations, LoadCheckedImage
from .seed_each_image import SeedEachImage

__all__ = [
    'LimitSide',
    'LoadCheckedAnnotations',
    'LoadCheckedImage',
    'PackWeakInputs',
    'SeedEachImage',
]
