"""Refining label maps by the colours of their images."""

from .base import REFINEMENTS, Refinement
from .crf import DenseCRF
from .pamr import PAMR, refine_scores

__all__ = ['PAMR', 'REFINEMENTS', 'DenseCRF', 'Refinement', 'refine_scores']
