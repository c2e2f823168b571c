"""Transforms of the pipelines: checked loading, and packing of weakly labelled images."""

from .defer_augmentation import DeferAugmentation
from .formatting import PackWeakInputs
from .limit_side import LimitSide
from .load_crop import LoadRandomCrop
from .load_image import LoadCheckedImage
from .load_mask import LoadCheckedAnnotations
from .seed_each_image import SeedEachImage

__all__ = [
    'DeferAugmentation',
    'LimitSide',
    'LoadCheckedAnnotations',
    'LoadCheckedImage',
    'LoadRandomCrop',
    'PackWeakInputs',
    'SeedEachImage',
]
