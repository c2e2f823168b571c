"""Segment-label matching, equation 1."""

from mmseg.registry import MODELS
from torch import Tensor, nn

from .reduction import mean_over_pairs, similarity


@MODELS.register_module()
class MatchLoss(nn.Module):
    r"""Pull the masked foreground towards its label, push the background away (SemPLeS, eq. 1).

    .. math::
        L_{match} = \frac{1}{P} \sum_p
            -\log \cos(v_p^f, u_p^f) - \lambda_b \log(1 - \cos(v_p^b, u_p^f))

    Args:
        background_weight: :math:`\lambda_b`; 2.4 for VOC, 0.75 for COCO.

    Shape:
        - foreground :math:`v^f`, background :math:`v^b`, label :math:`u^f`: (P, D) unit vectors,
          one row per (image, present class) pair
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
