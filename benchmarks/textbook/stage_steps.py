"""Losses of the stages match, prompt and refine as published, equation by equation."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from open_clip import CLIP, SimpleTokenizer
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from torch import Tensor, nn

from semples_mmseg.models import WeakTrGenerator

from .generator import Predictions, generate

IMAGE_NET_MEAN = (0.485, 0.456, 0.406)
IMAGE_NET_STD = (0.229, 0.224, 0.225)
MASK_EPS = dict(match=0.1, prompt=1e-4, refine=0.1)
CONTEXT = 77


class TextbookSemPLeS(nn.Module):
    """Generator, prompts and CLIP with all gradients left on.

    Args:
        generator: The mask generator.
        prompts: (K, T, C) token embeddings.
        clip: A whole open_clip model.
        class_names: The K object classes.
        background_weight: Of the background in equation 1.
        text_weight: Of the second term of equation 2.
        refine_weight: Of the second term of equation 3.
    """

    def __init__(
        self,
        generator: WeakTrGenerator,
        prompts: Tensor,
        clip: CLIP,
        class_names: Sequence[str],
        background_weight: float = 2.4,
        text_weight: float = 0.02,
        refine_weight: float = 0.05,
    ) -> None:
        super().__init__()
        self.mask_generator, self.clip = generator, clip.eval()
        self.prompt_learner = nn.ParameterDict(dict(prompts=prompts.detach().clone()))
        self.requires_grad_(True)
        self.class_names = class_names
        self.background_weight, self.text_weight = background_weight, text_weight
        self.refine_weight = refine_weight
        self.tokenizer = SimpleTokenizer(context_length=CONTEXT)

    def losses(
        self, stage: str, images: Tensor, labels: Tensor
    ) -> tuple[dict[str, Tensor], Predictions]:
        """The losses of a stage by name, and what the generator has predicted.

        Args:
            stage: ``'match'``, ``'prompt'`` or ``'refine'``.
            images: (B, 3, s, s), ImageNet-normalised, s = CLIP's input size.
            labels: Multi-hot (B, K), with at least one pair.
        """
        predictions = generate(self.mask_generator, images)
        large = F.interpolate(
            predictions.cams, images.shape[-2:], mode='bilinear', align_corners=True
        )
        low, high = large.amin((2, 3), keepdim=True), large.amax((2, 3), keepdim=True)
        all_masks = (large - low) / (high - low + MASK_EPS[stage])  # of all K classes
        rows, classes = labels.nonzero(as_tuple=True)
        masks = all_masks[rows, classes][:, None]
        pixels = self._renormalise(images)[rows]

        if stage == 'prompt':
            v_b = self._encode_images((1 - masks) * pixels)
            u_b, u_f = self._encode_prompts(classes), self._encode_names(classes)
            value = -cosine(u_b, v_b).log() + self.text_weight * cosine(u_b, u_f).log()
            return dict(loss_prompt=value.mean()), predictions

        v_f = self._encode_images(masks * pixels)
        v_b = self._encode_images((1 - masks) * pixels)
        u_f = self._encode_names(classes)
        pull, push = -cosine(v_f, u_f).log(), -(1 - cosine(v_b, u_f)).log()
        losses = dict(loss_match=(pull + self.background_weight * push).mean())
        if stage == 'refine':
            v_f, u_b = self._encode_images(masks * pixels), self._encode_prompts(classes)
            losses['loss_refine'] = -self.refine_weight * (1 - cosine(v_f, u_b)).log().mean()
        return losses, predictions

    def _renormalise(self, images: Tensor) -> Tensor:
        """From ImageNet's mean and standard deviation to CLIP's."""
        given = [images.new_tensor(v).view(3, 1, 1) for v in (IMAGE_NET_MEAN, IMAGE_NET_STD)]
        own = [
            images.new_tensor(v).view(3, 1, 1) for v in (OPENAI_DATASET_MEAN, OPENAI_DATASET_STD)
        ]
        return (images * given[1] + given[0] - own[0]) / own[1]

    def _encode_images(self, images: Tensor) -> Tensor:
        return F.normalize(self.clip.encode_image(images).float(), dim=-1)

    def _encode_names(self, classes: Tensor) -> Tensor:
        """u_f of every pair, (P, D)."""
        sentences = [f'a photo of {self.class_names[k]}.' for k in classes.tolist()]
        tokens = self.tokenizer(sentences).to(classes.device)
        return F.normalize(self.clip.encode_text(tokens).float(), dim=-1)

    def _encode_prompts(self, classes: Tensor) -> Tensor:
        """u_b of every pair, (P, D): start, "a photo of", prompt, ".", end, zeros up to 77."""
        clip, prompts = self.clip, self.prompt_learner['prompts'][classes]
        count, length = prompts.shape[:2]
        ids = torch.zeros(count, CONTEXT, dtype=torch.long, device=classes.device)
        ids[:, :4] = ids.new_tensor([49406, 320, 1125, 539])
        ids[:, 4 + length : 6 + length] = ids.new_tensor([13, 49407])
        embeddings = clip.token_embedding(ids)
        x = torch.cat([embeddings[:, :4], prompts, embeddings[:, 4 + length :]], 1)
        x = clip.transformer(x + clip.positional_embedding, attn_mask=clip.attn_mask)
        return F.normalize((clip.ln_final(x)[:, 5 + length] @ clip.text_projection).float(), dim=-1)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosine of unit vectors (P, D), clamped for the logarithm."""
    return (a * b).sum(-1).clamp(1e-4, 0.9999)
