"""Losses: one equation, one file."""

from .gradient_clipping_loss import GradientClippingLoss
from .match_loss import MatchLoss
from .pairs import Pairs, mean_over_pairs, similarity
from .prompt_loss import PromptLoss
from .refine_loss import RefineLoss

__all__ = [
    'GradientClippingLoss',
    'MatchLoss',
    'Pairs',
    'PromptLoss',
    'RefineLoss',
    'mean_over_pairs',
    'similarity',
]
