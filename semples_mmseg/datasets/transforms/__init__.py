"""Transforms of the pipelines: checked loading, and packing of weakly labelled images."""

from .formatting import PackWeakInputs, resize_bicubic
from .load_image import LoadCheckedImage
from .load_mask import LoadCheckedAnnotations

__all__ = ['LoadCheckedAnnotations', 'LoadCheckedImage', 'PackWeakInputs', 'resize_bicubic']
