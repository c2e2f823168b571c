"""Measuring CAMs and label maps, and writing them to disk."""

from .cam_metric import CAMMetric
from .crf_evaluator import CRFEvaluator
from .prediction_metric import PredictionMetric
from .prediction_writer import PredictionWriter
from .scores import SegmentationScores, confusion_matrix, segmentation_scores
from .submission_check import SubmissionReport, check_submission
from .threshold_curve import ThresholdCurve, default_thresholds
from .voc_submission import VOCSubmission

__all__ = [
    'CAMMetric',
    'CRFEvaluator',
    'PredictionMetric',
    'PredictionWriter',
    'SegmentationScores',
    'SubmissionReport',
    'ThresholdCurve',
    'VOCSubmission',
    'check_submission',
    'confusion_matrix',
    'default_thresholds',
    'segmentation_scores',
]
