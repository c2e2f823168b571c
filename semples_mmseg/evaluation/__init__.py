"""Measuring CAMs and label maps against pixel labels."""

from .cam_metric import CAMMetric
from .prediction_metric import PredictionMetric
from .scores import SegmentationScores, confusion_matrix, segmentation_scores
from .threshold_curve import ThresholdCurve, default_thresholds

__all__ = [
    'CAMMetric',
    'PredictionMetric',
    'SegmentationScores',
    'ThresholdCurve',
    'confusion_matrix',
    'default_thresholds',
    'segmentation_scores',
]
