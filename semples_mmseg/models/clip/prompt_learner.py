"""The learnable background prompts."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from .text_head import CLIPTextHead


@MODELS.register_module()
class PromptLearner(BaseModule):
    """One prompt p_k per class, for its usual background (SemPLeS, section 3.3).

    Args:
        num_classes: K.
        num_tokens: Tokens T of a prompt (30 in the paper); at most 71 for CLIP's context of 77.
        width: Channels of a token embedding (512 for ViT-B/32); must be the text encoder's.
        init_words: For each class, words to start from instead of noise uniform in [0, 1); they
            are repeated until the prompt is full. Needs ``start_from_words``.
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
            raise ValueError(
                f'prompts need positive sizes, got {num_classes} classes x {num_tokens} tokens x '
                f'{width} channels'
            )
        if init_words is not None and len(init_words) != num_classes:
            raise ValueError(f'init_words has {len(init_words)} texts for {num_classes} classes')
        if init_words is not None and init_cfg is not None:
            raise ValueError('give prompt_learner either init_words or init_cfg, not both')
        self.init_words = init_words
        self.prompts = nn.Parameter(torch.rand(num_classes, num_tokens, width))

    def prepare(self, text_head: CLIPTextHead, class_names: Sequence[str]) -> None:
        """Check the prompts against a CLIP and set those that start from words.

        Raises:
            ValueError: If the prompts are longer than CLIP takes, or the words than the prompts.
        """
        if self.prompts.shape[1] > text_head.max_prompt_tokens:
            raise ValueError(
                f'prompt_learner.num_tokens is {self.prompts.shape[1]}, this CLIP has room for '
                f'{text_head.max_prompt_tokens}'
            )
        self.start_from_words(text_head)

    def features(self, text_head: CLIPTextHead, classes: Tensor | None = None) -> Tensor:
        """Features u_b (n, D) of the prompts of n classes, or of all; see ``encode_prompts``."""
        chosen = self.prompts if classes is None else self.prompts[classes]
        return text_head.encode_prompts(chosen)

    @torch.no_grad()
    def start_from_words(self, text_head: CLIPTextHead) -> None:
        """Set the prompts to the token embeddings of ``init_words``, if there are any.

        Args:
            text_head: Gives tokenizer and embeddings.

        Raises:
            ValueError: If the words of a class have more tokens than a prompt.
        """
        if self.init_words is None:
            return
        slots = self.prompts.shape[1]
        for prompt, words in zip(self.prompts, self.init_words, strict=True):
            ids = text_head.token_ids(words)
            if not 0 < len(ids) <= slots:
                raise ValueError(
                    f'init_words {words!r} has {len(ids)} tokens for prompts of {slots}'
                )
            prompt.copy_(text_head.embed([ids[slot % len(ids)] for slot in range(slots)]))

    def forward(self) -> Tensor:
        """The prompts (K, T, C)."""
        return self.prompts
