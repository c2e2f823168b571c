"""Contrastive prompt learning, equation 2."""

from mmseg.registry import MODELS
from torch import Tensor, nn

from .reduction import mean_over_pairs, similarity


@MODELS.register_module()
class PromptLoss(nn.Module):
    """Pull a class's prompt to its backgrounds, push it from its name (SemPLeS, eq. 2).

        L_prompt = mean over pairs of [-λ_I log cos(u_b, v_b) + λ_T log cos(u_b, u_f)]

    Args:
        text_weight: λ_T; 0.02 for VOC, 0.01 for COCO.
        image_weight: λ_I; 1 in the paper. With 0 only the text term is left (table 4).

    Shape:
        - prompt u_b, background v_b, label u_f: (P, D) unit vectors
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
