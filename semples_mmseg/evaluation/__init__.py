"""Measuring CAMs and label maps against pixel labels."""

from .cam_metric import CAMMetric
from .scores import SegmentationScores, confusion_matrix, segmentation_scores
from .threshold_curve import ThresholdCurve, default_thresholds

__all__ = [
    'CAMMetric',
    'SegmentationScores',
    'ThresholdCurve',
    'confusion_matrix',
    'default_thresholds',
    'segmentation_scores',
]
