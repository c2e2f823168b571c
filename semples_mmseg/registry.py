"""The scope ``semples_mmseg`` of a config, which MMEngine looks for in this module.

It has MMSeg's names, and one of its own: MMSeg's inferencers look for a transform called
``LoadImageFromFile`` and build it by that name, which here is the loader of this package.
"""

from mmseg.registry import TRANSFORMS as _MMSEG_TRANSFORMS

from .datasets.transforms import LoadCheckedImage

TRANSFORMS = _MMSEG_TRANSFORMS.children['semples_mmseg']
TRANSFORMS.register_module('LoadImageFromFile', module=LoadCheckedImage)
