"""Background prompts of the classes: learned, or written by hand."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...utils.errors import Refusal
from .text_head import CLIPTextHead


@MODELS.register_module()
class PromptLearner(BaseModule):
    """One prompt p_k per class, for its usual background (SemPLeS, section 3.2.2).

    Args:
        num_classes: K.
        num_tokens: Tokens T of a prompt (30 in the paper); at most 71 for CLIP's context of 77.
        width: Channels of a token embedding (512 for ViT-B/32); must be the text encoder's.
        init_words: For each class, initial words instead of uniform noise in [0, 1); they
            are repeated until the prompt is full. ``prepare`` sets them.
        init_cfg: MMEngine's initialisation; learned prompts are read with
            ``dict(type='Pretrained', checkpoint='weights:btp.pth', prefix='prompt_learner.')``.
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
        if num_tokens < 1:
            raise Refusal(f'prompt_learner.num_tokens must be at least 1, got {num_tokens}')
        if init_words is not None and len(init_words) != num_classes:
            raise Refusal(f'init_words has {len(init_words)} texts for {num_classes} classes')
        if init_words is not None and init_cfg is not None:
            raise Refusal('give prompt_learner either init_words or init_cfg, not both')
        self.init_words = init_words
        self.prompts = nn.Parameter(torch.rand(num_classes, num_tokens, width))

    @torch.no_grad()
    def prepare(self, text_head: CLIPTextHead, class_names: Sequence[str]) -> None:
        """Check that the prompts fit a CLIP, and set those that start from words."""
        slots = self.prompts.shape[1]
        if slots > text_head.max_prompt_tokens:
            room = text_head.max_prompt_tokens
            raise Refusal(f'prompt_learner.num_tokens is {slots}, this CLIP has room for {room}')
        for prompt, words in zip(self.prompts, self.init_words or (), strict=False):
            ids = text_head.token_ids(words)
            if not 0 < len(ids) <= slots:
                raise Refusal(f'init_words {words!r} has {len(ids)} tokens for prompts of {slots}')
            prompt.copy_(text_head.embed([ids[slot % len(ids)] for slot in range(slots)]))

    @torch.no_grad()
    def is_trained(self, text_head: CLIPTextHead) -> bool:
        """Whether the prompts are other ones than those that training starts from."""
        if self.init_words is None:
            return not bool(((self.prompts >= 0) & (self.prompts < 1)).all())
        classes, tokens, width = self.prompts.shape
        start = PromptLearner(classes, tokens, width, self.init_words)
        start.prepare(text_head, ())
        return not torch.allclose(start.prompts.to(self.prompts), self.prompts)

    def features(self, text_head: CLIPTextHead, classes: Tensor | None = None) -> Tensor:
        """Features u_b (n, D) of the prompts of n classes, or of all; see ``encode_prompts``."""
        chosen = self.prompts if classes is None else self.prompts[classes]
        return text_head.encode_prompts(chosen)

    def forward(self) -> Tensor:
        """The prompts (K, T, C)."""
        return self.prompts


@MODELS.register_module()
class ManualPrompts(nn.Module):
    """Fixed sentences about backgrounds instead of learned prompts (CLIMS, arXiv 2203.02668).

    Feature u_b of a class is the normalised mean of the features of its sentences. There is nothing
    to learn, so runs have no prompt stage.

    Args:
        num_classes: K; the segmentor fills it in.
        texts: Texts for all classes, or a list for each class by its name.
        template: Sentence with ``{}`` in place of the text.
        width: Not used; the segmentor fills it in.
    """

    encoded: Tensor

    def __init__(
        self,
        num_classes: int,
        texts: Sequence[str] | Mapping[str, Sequence[str]],
        template: str = '{}',
        width: int | None = None,
    ) -> None:
        super().__init__()
        if '{}' not in template:
            raise Refusal(f'prompt_learner.template {template!r} needs {{}} for the text')
        lists = list(texts.values()) if isinstance(texts, Mapping) else [texts]
        if not lists or any(
            isinstance(some, str) or not some or not all(text and text.strip() for text in some)
            for some in lists
        ):
            raise Refusal('prompt_learner.texts are texts, or texts for each class; none is empty')
        self.texts, self.template = texts, template

    def prepare(self, text_head: CLIPTextHead, class_names: Sequence[str]) -> None:
        """Encode the sentences of the K classes; each has to have some."""
        texts = self.texts
        if not isinstance(texts, Mapping):
            texts = dict.fromkeys(class_names, texts)
        if texts.keys() != set(class_names):
            wrong = sorted(texts.keys() ^ set(class_names))
            raise Refusal(f'prompt_learner.texts: classes without texts, or unknown: {wrong}')
        self._sentences = [[self.template.format(one) for one in texts[k]] for k in class_names]
        self.register_buffer('encoded', self._encode(text_head).detach(), persistent=False)

    def _encode(self, text_head: CLIPTextHead) -> Tensor:
        distinct = [*dict.fromkeys(itertools.chain(*self._sentences))]
        features = dict(zip(distinct, text_head.encode_sentences(distinct), strict=True))
        means = [torch.stack([features[one] for one in some]).mean(0) for some in self._sentences]
        return F.normalize(torch.stack(means), dim=-1)

    def is_trained(self, text_head: CLIPTextHead) -> bool:
        """True: there is nothing to train."""
        return True

    def features(self, text_head: CLIPTextHead, classes: Tensor | None = None) -> Tensor:
        """Features u_b (n, D), unit vectors, of n classes (0-based), or of all."""
        encoded = self.encoded if text_head.encoder.frozen else self._encode(text_head)
        return encoded if classes is None else encoded[classes]
