"""Data sets with image-level labels and their transforms."""

from . import transforms
from .coco import COCO_CLASSES, WeakCOCODataset
from .demo import DemoDataset
from .voc import VOC_PROMPT_NAMES, WeakVOCDataset
from .weak_label import WeakLabelDataset

__all__ = [
    'COCO_CLASSES',
    'VOC_PROMPT_NAMES',
    'DemoDataset',
    'WeakCOCODataset',
    'WeakLabelDataset',
    'WeakVOCDataset',
    'transforms',
]
