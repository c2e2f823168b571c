"""Segment-label matching, equation 1."""

from mmseg.registry import MODELS
from torch import Tensor, nn

from .reduction import mean_over_pairs, similarity


@MODELS.register_module()
class MatchLoss(nn.Module):
    """Pull the masked foreground towards its label, push the background away (SemPLeS, eq. 1).

        L_match = mean over pairs of [-log cos(v_f, u_f) - λ_b log(1 - cos(v_b, u_f))]

    Args:
        background_weight: λ_b; 2.4 for VOC, 0.75 for COCO.

    Shape:
        - foreground v_f, background v_b, label u_f: (P, D) unit vectors, one row per (image,
          present class) pair
        - output: scalar

    Example:
        >>> loss = MatchLoss(background_weight=2.4)(v_f, v_b, u_f)
    """

    def __init__(self, background_weight: float = 2.4) -> None:
        super().__init__()
        self.background_weight = background_weight

    def forward(self, foreground: Tensor, background: Tensor, label: Tensor) -> Tensor:
        """Compute the loss."""
        pull = -similarity(foreground, label).log()
        push = -(1 - similarity(background, label)).log()
        return mean_over_pairs(pull + self.background_weight * push)
