"""The frozen CLIP text encoder: class names, ordinary sentences, and learned prompts."""

import math
from collections.abc import Sequence
from os.path import commonprefix
from typing import Any

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...utils.errors import Refusal
from .loading import as_clip
from .streamlining import Encoder, read_tokens

# Full stop in CLIP's vocabulary: at the end of a word, as from its tokenizer, and inside a word,
# as in the training of published prompts.
WORD_FULL_STOP, FULL_STOP = 269, 13


class _TextTower(nn.Module):
    """The text side of any of open_clip's model classes, without the image side."""

    attn_mask: Tensor | None
    positional_embedding: nn.Parameter
    token_embedding: nn.Embedding
    transformer: Any
    text_projection: Any

    def __init__(self, clip: Any) -> None:
        from open_clip.transformer import Transformer, text_global_pool

        super().__init__()
        self._pool = text_global_pool
        tower = getattr(clip, 'text', clip)
        self.pooling = getattr(tower, 'pool_type', None) or getattr(tower, 'text_pool_type', None)
        if (
            not isinstance(getattr(tower, 'transformer', None), Transformer)
            or self.pooling == 'none'
        ):
            raise Refusal(
                "prompts need a text transformer of open_clip's that gives one feature; this one "
                f'({type(tower).__name__}) pools by {self.pooling!r}: set clip.model to another'
            )
        self.end_id = getattr(tower, 'eos_id', None) or getattr(tower, 'text_eos_id', None)
        # CoCa's class token follows the text. Published CoCas mask padding one position too late.
        self.class_token: Tensor | None = getattr(tower, 'cls_emb', None)
        self.exact_padding: bool = getattr(tower, 'correct_cls_mask', True)
        self.hides_padding = getattr(tower, 'use_pad_mask', False) or self.class_token is not None
        self.heads: int = getattr(tower, 'heads', 1)
        self.pad_id: int = getattr(tower, 'pad_id', 0)
        self.context_length: int = tower.context_length
        self.token_embedding = tower.token_embedding
        self.positional_embedding = tower.positional_embedding
        self.transformer = tower.transformer
        self.ln_final = tower.ln_final
        self.text_projection = tower.text_projection
        self.register_buffer('attn_mask', tower.attn_mask, persistent=False)

    def reading(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Token ids (n, L) up to the last that a feature depends on; positions (n,) of features."""
        if self.class_token is not None:
            return ids, ids.new_full((len(ids),), ids.shape[1])
        places = torch.arange(ids.shape[1]).expand(len(ids), -1)
        places = self._pool(places, ids, self.pooling, self.end_id)
        return ids if self.attn_mask is None else ids[:, : int(places.max()) + 1], places

    def _mask(self, ids: Tensor, length: int) -> Tensor | None:
        """(L, L), or (n heads, L, L) where padding is hidden, as open_clip's blocks take it."""
        mask = None if self.attn_mask is None else self.attn_mask[:length, :length]
        if not self.hides_padding:
            return mask
        hidden = ids == self.pad_id
        if self.class_token is not None:
            hidden = F.pad(hidden, (0, 1) if self.exact_padding else (1, 0))
        scores = self.positional_embedding.new_zeros(hidden.shape).masked_fill(hidden, -math.inf)
        scores = scores[:, None, None].expand(-1, self.heads, length, -1).flatten(0, 1)
        return scores if mask is None else scores + mask

    def forward(self, embeddings: Tensor, ids: Tensor, places: Tensor) -> Tensor:
        """Features (n, D) of embeddings (n, L, C); ``ids`` and ``places`` as in ``reading``."""
        if self.class_token is not None:
            embeddings = torch.cat([embeddings, self.class_token.expand(len(ids), 1, -1)], dim=1)
        length = embeddings.shape[1]
        dtype = self.positional_embedding.dtype
        x = embeddings.to(dtype) + self.positional_embedding[:length].to(dtype)
        mask = self._mask(ids, length)
        *earlier, last = self.transformer.resblocks
        for block in earlier:
            x = block(x, attn_mask=mask)
        x = self.ln_final(read_tokens(last, x, places, mask))
        if isinstance(self.text_projection, nn.Linear):
            return self.text_projection(x)
        return x if self.text_projection is None else x @ self.text_projection


@MODELS.register_module()
class CLIPTextHead(nn.Module):
    """Text features u_f of the classes and u_b of their background prompts.

    Args:
        class_names: Names of the K object classes for CLIP, without background.
        clip: A CLIP model or the config of one, see ``build_clip``.
        template: Sentence with ``{}`` in place of the class name.
        dtype: Precision of the features of learned prompts, see ``CLIPImageHead``; features of the
            classes are computed in float32 if CLIP is frozen.
        streamline: Whether the text side of ``clip`` is frozen, see ``CLIPImageHead``. With
            ``False`` features of classes and prompts are computed again in every step.
    """

    class_features: Tensor

    def __init__(
        self,
        class_names: Sequence[str],
        clip: nn.Module | dict[str, Any],
        template: str = 'a photo of {}.',
        dtype: str | None = None,
        streamline: bool = True,
    ) -> None:
        from open_clip import SimpleTokenizer

        super().__init__()
        if not class_names or not all(isinstance(name, str) and name for name in class_names):
            raise Refusal(f'class_names must be a list of names, got {class_names!r}')
        if '{}' not in template:
            raise Refusal(f'the template {template!r} needs {{}} where the class name goes')
        clip = as_clip(clip)
        self.encoder = Encoder(_TextTower(clip), frozen=streamline)
        self.context_length: int = self.encoder.network.context_length
        self._tokenizer = getattr(clip, 'tokenizer', None) or SimpleTokenizer(
            context_length=self.context_length
        )
        self._simple = isinstance(self._tokenizer, SimpleTokenizer)
        self._before, self._word, self._after, self._pad = self._layout()
        self.max_prompt_tokens = self.context_length - len(self._before) - len(self._after)
        self.class_names = tuple(class_names)
        self._sentences = [template.format(name) for name in class_names]
        features = self.encode_sentences(self._sentences).detach()
        self.register_buffer('class_features', features, persistent=False)
        self.encoder.run_in(dtype, 'text_head.dtype')

    def features(self, classes: Tensor) -> Tensor:
        """Features u_f (P, D), unit vectors, of classes (P,), 0-based; encoded once if frozen."""
        if self.encoder.frozen:
            return self.class_features[classes]
        return self.encode_sentences(self._sentences)[classes]

    def _layout(self) -> tuple[list[int], int, list[int], int]:
        """Ids before, in and after a prompt, and the id of padding."""
        texts = ['a photo of', 'a photo of cat.', 'a photo of dog.', 'cat ' * self.context_length]
        *rows, cut = self._tokenizer(texts).tolist()
        pad, end = rows[0][-1], cut[-1]  # which may be the same
        start, cat, dog = (row[: row.index(end) + 1] for row in rows)
        before = commonprefix([start, cat])
        after = commonprefix([cat[::-1], dog[::-1]])[::-1]
        if self._simple:
            after = [FULL_STOP if each == WORD_FULL_STOP else each for each in after]
        return before, cat[len(before)], after, pad

    @property
    def width(self) -> int:
        """Channels of a token embedding (512 for ViT-B/32)."""
        return self.encoder.network.token_embedding.embedding_dim

    def embed(self, ids: Sequence[int]) -> Tensor:
        """Embeddings (n, C) of token ids; without positions."""
        table = self.encoder.network.token_embedding
        return table(torch.tensor(list(ids), dtype=torch.long, device=table.weight.device))

    def token_ids(self, text: str) -> list[int]:
        """Token ids of a text, without start and end."""
        if self._simple:
            return self._tokenizer.encode(text)
        words = [self._tokenizer.clean_fn(some) for some in ('a photo of', f'a photo of {text}')]
        # Inside a sentence, as tokenizers may give its first word other tokens.
        start, ids = self._tokenizer.tokenizer(words, add_special_tokens=False).input_ids
        return ids[len(start) :]

    def encode_sentences(self, sentences: Sequence[str]) -> Tensor:
        """Unit vectors (n, D) of n ordinary sentences, as of open_clip's ``encode_text``."""
        ids = self._tokenizer(list(sentences))
        room = self.context_length
        longer = self._tokenizer(list(sentences), context_length=room + 1)
        # Tokenizers cut long texts silently, and put the end token at the cut.
        for sentence, whole in zip(sentences, (ids == longer[:, :room]).all(1), strict=True):
            if not whole:
                raise Refusal(f'{sentence!r} is longer than the {room} tokens that CLIP takes')
        table = self.encoder.network.token_embedding
        if (highest := int(ids.max())) >= table.num_embeddings:
            raise Refusal(
                f'the tokenizer gives ids up to {highest}, and the vocabulary of this CLIP has '
                f'{table.num_embeddings}: set clip.tokenizer to the tokenizer of clip.model'
            )
        ids, places = (some.to(table.weight.device) for some in self.encoder.network.reading(ids))
        return F.normalize(self.encoder(table(ids), ids, places).float(), dim=-1)

    def encode_prompts(self, prompts: Tensor) -> Tensor:
        """Unit vectors (n, D) of "a photo of <prompt>.", prompts (n, T, C) being token embeddings.

        The prompt has the position of a word in the tokenized sentence (SemPLeS, section 3.2.2).
        """
        count, tokens, width = prompts.shape
        if tokens > self.max_prompt_tokens or width != self.width:
            most = f'{self.max_prompt_tokens} tokens of width {self.width}'
            raise Refusal(f'prompts of {tokens} x {width} do not fit this CLIP: at most {most}')
        row = [*self._before, *[self._word] * tokens, *self._after]
        row += [self._pad] * (self.context_length - len(row))
        ids, places = self.encoder.network.reading(torch.tensor([row] * count))
        ids, places = (some.to(prompts.device, non_blocking=True) for some in (ids, places))
        x = self.encoder.network.token_embedding(ids)
        start = len(self._before)
        sequence = torch.cat([x[:, :start], prompts, x[:, start + tokens :]], dim=1)
        return F.normalize(self.encoder(sequence, ids, places).float(), dim=-1)
