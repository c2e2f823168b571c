"""Losses: one equation, one file."""

from .gradient_clipping_loss import GradientClippingLoss
from .match_loss import MatchLoss
from .prompt_loss import PromptLoss
from .refine_loss import RefineLoss

__all__ = ['GradientClippingLoss', 'MatchLoss', 'PromptLoss', 'RefineLoss']
