"""Segmentors: the CAM classifier of stage 0, SemPLeS, and the model of retraining."""

from .cam_segmentor import CAMSegmentor
from .data_preprocessor import CAMDataPreprocessor
from .semples import SemPLeS
from .windowed import ProbabilityTTA, WindowedEncoderDecoder

__all__ = [
    'CAMDataPreprocessor',
    'CAMSegmentor',
    'ProbabilityTTA',
    'SemPLeS',
    'WindowedEncoderDecoder',
]
