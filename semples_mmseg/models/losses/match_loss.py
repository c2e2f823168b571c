"""Segment-label matching, equation 1."""

from mmseg.registry import MODELS
from torch import Tensor, nn

from .pairs import Pairs, mean_over_pairs, similarity


@MODELS.register_module()
class MatchLoss(nn.Module):
    """Pull the masked foreground towards its label, push the background away (SemPLeS, eq. 1).

        L_match = mean over pairs of [-log cos(v_f, u_f) - λ_b log(1 - cos(v_b, u_f))]

    Args:
        background_weight: λ_b; 2.4 for VOC, 0.75 for COCO.
    """

    needs = ('v_f', 'v_b', 'u_f')

    def __init__(self, background_weight: float = 2.4) -> None:
        super().__init__()
        self.background_weight = background_weight

    def forward(self, pairs: Pairs) -> Tensor:
        """Compute the loss, a scalar."""
        pull = -similarity(pairs.v_f, pairs.u_f).log()
        push = -(1 - similarity(pairs.v_b, pairs.u_f)).log()
        return mean_over_pairs(pull + self.background_weight * push)
