"""What becomes of a segmentation model's predictions: dense CRF, files, VOC's test archive."""

from .crf_evaluator import CRFEvaluator
from .prediction_writer import PredictionWriter
from .submission_check import SubmissionReport, check_submission
from .voc_submission import VOCSubmission

__all__ = [
    'CRFEvaluator',
    'PredictionWriter',
    'SubmissionReport',
    'VOCSubmission',
    'check_submission',
]
