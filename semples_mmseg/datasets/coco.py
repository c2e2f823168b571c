"""COCO 2014 with image-level labels."""

from collections.abc import Mapping
from typing import Any

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
    ``COCO_CLASSES``; 255 is ignored.

    Args:
        ann_file: Split list of image ids (file stems): ``ImageSets/train.txt`` or ``val.txt``.
        label_file: JSON file of the labels: ``labels_train.json`` or ``labels_val.json``.
        data_root: Folder with ``train2014``, ``val2014`` and what the converter wrote.
        data_prefix: Folders of images and, for evaluation, masks.
        **kwargs: Passed on to ``WeakLabelDataset``.
    """

    METAINFO = dict(classes=('background', *COCO_CLASSES), palette=class_colours(81))

    def __init__(
        self,
        ann_file: str = 'ImageSets/train.txt',
        label_file: str | None = 'labels_train.json',
        data_root: str | None = None,
        data_prefix: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            ann_file=ann_file,
            label_file=label_file,
            data_root=data_root,
            data_prefix=data_prefix or dict(img_path='train2014'),
            **kwargs,
        )
