"""Data sets with image-level labels, data sets of retraining, and their transforms."""

from . import transforms
from .checked_seg import CheckedSegDataset
from .coco import COCO_CLASSES, WeakCOCODataset
from .voc import WeakVOCDataset
from .weak_label import WeakLabelDataset

__all__ = [
    'COCO_CLASSES',
    'CheckedSegDataset',
    'WeakCOCODataset',
    'WeakLabelDataset',
    'WeakVOCDataset',
    'transforms',
]
