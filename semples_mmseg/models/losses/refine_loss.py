"""Class-associated semantic refinement, the second term of equation 3."""

from mmseg.registry import MODELS
from torch import Tensor, nn

from .pairs import Pairs, mean_over_pairs, similarity


@MODELS.register_module()
class RefineLoss(nn.Module):
    """Push the masked foreground away from its class's background prompt (SemPLeS, eq. 3).

        λ L_refine = λ mean over pairs of [-log(1 - cos(v_f, u_b))]

    The first term of equation 3 is ``MatchLoss``.

    Args:
        weight: λ; 0.05 in the paper, 0.2 in the published settings for COCO.
    """

    needs = ('v_f', 'u_b')

    def __init__(self, weight: float = 0.05) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, pairs: Pairs) -> Tensor:
        """Compute the loss, a scalar."""
        push = -(1 - similarity(pairs.v_f, pairs.u_b)).log()
        return self.weight * mean_over_pairs(push)
