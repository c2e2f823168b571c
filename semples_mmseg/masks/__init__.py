"""From CAMs to label maps on disk and their scores: curves, refinement, pseudo masks."""

from .background_score import ScoreChoice, choose_background_score
from .cam_metric import CAMMetric
from .crf_evaluator import CRFEvaluator
from .generate import AUTO, make_pseudo_masks
from .manifest import MANIFEST, open_folder
from .prediction_metric import PredictionMetric
from .prediction_writer import PredictionWriter
from .scores import SegmentationScores, confusion_matrix, segmentation_scores
from .submission_check import SubmissionReport, check_submission
from .threshold_curve import ThresholdCurve, default_thresholds
from .voc_submission import VOCSubmission
from .writer import PseudoMaskWriter

__all__ = [
    'AUTO',
    'MANIFEST',
    'CAMMetric',
    'CRFEvaluator',
    'PredictionMetric',
    'PredictionWriter',
    'PseudoMaskWriter',
    'ScoreChoice',
    'SegmentationScores',
    'SubmissionReport',
    'ThresholdCurve',
    'VOCSubmission',
    'check_submission',
    'choose_background_score',
    'confusion_matrix',
    'default_thresholds',
    'make_pseudo_masks',
    'open_folder',
    'segmentation_scores',
]
