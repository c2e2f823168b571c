"""Contrastive prompt learning, equation 2."""

from mmseg.registry import MODELS
from torch import Tensor, nn

from .pairs import Pairs, mean_over_pairs, similarity


@MODELS.register_module()
class PromptLoss(nn.Module):
    """Pull a class's prompt to its backgrounds, push it from its name (SemPLeS, eq. 2).

        L_prompt = mean over pairs of [-λ_I log cos(u_b, v_b) + λ_T log cos(u_b, u_f)]

    Args:
        text_weight: λ_T; 0.02 for VOC, 0.01 for COCO.
        image_weight: λ_I; 1 in the paper. With 0 only the text term is left (table 4).
    """

    needs = ('v_b', 'u_f', 'u_b')

    def __init__(self, text_weight: float = 0.02, image_weight: float = 1.0) -> None:
        super().__init__()
        self.text_weight, self.image_weight = text_weight, image_weight

    def forward(self, pairs: Pairs) -> Tensor:
        """Compute the loss, a scalar."""
        image_term = -similarity(pairs.u_b, pairs.v_b).log()
        text_term = similarity(pairs.u_b, pairs.u_f).log()
        return mean_over_pairs(self.image_weight * image_term + self.text_weight * text_term)
