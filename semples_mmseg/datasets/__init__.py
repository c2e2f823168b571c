"""Data sets with image-level labels and their transforms."""

from . import transforms
from .weak_label import WeakLabelDataset

__all__ = ['WeakLabelDataset', 'transforms']
