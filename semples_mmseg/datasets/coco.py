"""COCO 2014 with image-level labels."""

from mmseg.datasets import COCOStuffDataset
from mmseg.registry import DATASETS

from ..utils.label_png import class_colours
from .weak_label import WeakLabelDataset

COCO_CLASSES: tuple[str, ...] = COCOStuffDataset.METAINFO['classes'][:80]
"""The 80 object classes in the order of their category ids (1 to 90, ten of them unused), which
COCO-Stuff lists before its own."""


@DATASETS.register_module()
class WeakCOCODataset(WeakLabelDataset):
    """COCO 2014 with image-level labels, as ``tools/dataset_converters/coco14.py`` prepares it.

    MMSeg has only COCO with stuff (171 classes, no background), so these are also the classes and
    the palette of retraining: 0 is background, 1 to 80 are ``COCO_CLASSES``, 255 is ignored.
    """

    METAINFO = dict(classes=('background', *COCO_CLASSES), palette=class_colours(81))
    DATA_PREFIX = dict(img_path='train2014')
