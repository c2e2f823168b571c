"""Class-associated semantic refinement, the second term of equation 3."""

from mmseg.registry import MODELS
from torch import Tensor, nn

from .reduction import mean_over_pairs, similarity


@MODELS.register_module()
class RefineLoss(nn.Module):
    """Push the masked foreground away from its class's background prompt (SemPLeS, eq. 3).

        λ L_refine = λ mean over pairs of [-log(1 - cos(v_f, u_b))]

    The first term of equation 3 is ``MatchLoss``.

    Args:
        weight: λ; 0.05 in the paper, 0.2 in the published settings for COCO.

    Shape:
        - foreground v_f, prompt u_b: (P, D) unit vectors
        - output: scalar
    """

    def __init__(self, weight: float = 0.05) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, foreground: Tensor, prompt: Tensor) -> Tensor:
        """Compute the loss."""
        return self.weight * mean_over_pairs(-(1 - similarity(foreground, prompt)).log())
