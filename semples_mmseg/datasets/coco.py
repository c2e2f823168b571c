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
    the palette of retraining: ids are 0 for background and 1 to 80 in the order of
    ``COCO_CLASSES``; 255 is ignored. Lists and labels are ``ImageSets/train.txt`` (``val.txt``) and
    ``labels_train.json`` (``labels_val.json``); the masks of evaluation are in ``masks/val2014``.
    """

    METAINFO = dict(classes=('background', *COCO_CLASSES), palette=class_colours(81))
    DATA_PREFIX = dict(img_path='train2014')
