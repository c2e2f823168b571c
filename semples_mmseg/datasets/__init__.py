"""Data sets with image-level labels and their transforms."""

from . import transforms
from .demo import DemoDataset
from .voc import VOC_PROMPT_NAMES, WeakVOCDataset
from .weak_label import WeakLabelDataset

__all__ = ['VOC_PROMPT_NAMES', 'DemoDataset', 'WeakLabelDataset', 'WeakVOCDataset', 'transforms']
