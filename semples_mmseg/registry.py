"""The scope ``semples_mmseg`` of a config, which MMEngine looks for in this module.

It has all names of MMSeg. One name means something else here: ``LoadImageFromFile``, which MMSeg's
inferencers look for and build, is the loader of this package.
"""

from mmseg.registry import TRANSFORMS as _MMSEG_TRANSFORMS

from .datasets.transforms import LoadCheckedImage

TRANSFORMS = _MMSEG_TRANSFORMS.children['semples_mmseg']
TRANSFORMS.register_module('LoadImageFromFile', module=LoadCheckedImage)
