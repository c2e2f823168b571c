"""Transforms of the pipelines: checked loading, and packing of weakly labelled images."""

from .formatting import PackWeakInputs
from .limit_side import LimitSide
from .load_image import LoadCheckedImage
from .load_mask import LoadCheckedAnnotations
from .seed_each_image import SeedEachImage

__all__ = [
    'LimitSide',
    'LoadCheckedAnnotations',
    'LoadCheckedImage',
    'PackWeakInputs',
    'SeedEachImage',
]
