"""The learnable background prompts."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...utils.errors import Refusal
from .text_head import CLIPTextHead


@MODELS.register_module()
class PromptLearner(BaseModule):
    """One prompt p_k per class, for its usual background (SemPLeS, section 3.3).

    Args:
        num_classes: K.
        num_tokens: Tokens T of a prompt (30 in the paper); at most 71 for CLIP's context of 77.
        width: Channels of a token embedding (512 for ViT-B/32); must be the text encoder's.
        init_words: For each class, initial words instead of uniform noise in [0, 1); they
            are repeated until the prompt is full. ``prepare`` sets them.
        init_cfg: MMEngine's initialisation; learned prompts are read with
            ``dict(type='Pretrained', checkpoint='weights:btp.pth', prefix='prompt_learner.')``.

    Raises:
        ValueError: If sizes are not positive, there is not one text of words per class, or both
            words and learned prompts are given.
    """

    def __init__(
        self,
        num_classes: int,
        num_tokens: int = 30,
        width: int = 512,
        init_words: Sequence[str] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if num_classes < 1 or num_tokens < 1 or width < 1:
            raise Refusal(
                f'prompts need positive sizes, got {num_classes} classes x {num_tokens} tokens x '
                f'{width} channels'
            )
        if init_words is not None and len(init_words) != num_classes:
            raise Refusal(f'init_words has {len(init_words)} texts for {num_classes} classes')
        if init_words is not None and init_cfg is not None:
            raise Refusal('give prompt_learner either init_words or init_cfg, not both')
        self.init_words = init_words
        self.prompts = nn.Parameter(torch.rand(num_classes, num_tokens, width))

    @torch.no_grad()
    def prepare(self, text_head: CLIPTextHead, class_names: Sequence[str]) -> None:
        """Check that the prompts fit a CLIP, and set those that start from words.

        Args:
            text_head: Gives tokenizer and embeddings.
            class_names: Not used; ``ManualPrompts`` needs them.

        Raises:
            ValueError: If the prompts are longer than CLIP takes, or the words than the prompts.
        """
        slots = self.prompts.shape[1]
        if slots > text_head.max_prompt_tokens:
            raise Refusal(
                f'prompt_learner.num_tokens is {slots}, this CLIP has room for '
                f'{text_head.max_prompt_tokens}'
            )
        if self.init_words is None:
            return
        for prompt, words in zip(self.prompts, self.init_words, strict=True):
            ids = text_head.token_ids(words)
            if not 0 < len(ids) <= slots:
                raise Refusal(f'init_words {words!r} has {len(ids)} tokens for prompts of {slots}')
            prompt.copy_(text_head.embed([ids[slot % len(ids)] for slot in range(slots)]))

    def features(self, text_head: CLIPTextHead, classes: Tensor | None = None) -> Tensor:
        """Features u_b (n, D) of the prompts of n classes, or of all; see ``encode_prompts``."""
        chosen = self.prompts if classes is None else self.prompts[classes]
        return text_head.encode_prompts(chosen)

    def forward(self) -> Tensor:
        """The prompts (K, T, C)."""
        return self.prompts
