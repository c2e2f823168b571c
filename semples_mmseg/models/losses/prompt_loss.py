"""Contrastive prompt learning, equation 2."""

from mmseg.registry import MODELS
from torch import Tensor, nn

from .reduction import mean_over_pairs, similarity


@MODELS.register_module()
class PromptLoss(nn.Module):
    r"""Pull a class's prompt to its backgrounds, push it from its name (SemPLeS, eq. 2).

    .. math::
        L_{prompt} = \frac{1}{P} \sum_p
            -\lambda_I \log \cos(u_p^b, v_p^b) + \lambda_T \log \cos(u_p^b, u_p^f)

    Args:
        text_weight: :math:`\lambda_T`; 0.02 for VOC, 0.01 for COCO.
        image_weight: :math:`\lambda_I`; 1 in the paper, 0 leaves the text term alone (table 4).

    Shape:
        - prompt :math:`u^b`, background :math:`v^b`, label :math:`u^f`: (P, D) unit vectors
        - output: scalar
    """

    def __init__(self, text_weight: float = 0.02, image_weight: float = 1.0) -> None:
        super().__init__()
        self.text_weight, self.image_weight = text_weight, image_weight

    def forward(self, prompt: Tensor, background: Tensor, label: Tensor) -> Tensor:
        """Compute the loss."""
        image_term = -similarity(prompt, background).log()
        text_term = similarity(prompt, label).log()
        return mean_over_pairs(self.image_weight * image_term + self.text_weight * text_term)
