"""Segmentors: the plain CAM classifier of stage 0, and SemPLeS."""

from .cam_segmentor import CAMSegmentor
from .data_preprocessor import CAMDataPreprocessor
from .semples import SemPLeS

__all__ = ['CAMDataPreprocessor', 'CAMSegmentor', 'SemPLeS']
