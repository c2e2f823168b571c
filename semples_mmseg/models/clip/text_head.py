"""The frozen CLIP text encoder: class names, ordinary sentences, and learned prompts."""

from collections.abc import Sequence
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...utils.frozen import Frozen
from .loading import as_clip
from .streamlining import half_precision, read_tokens, round_weights, streamline

# Ids of CLIP's byte-pair vocabulary. The full stop is the character inside a word (13), not the
# word-final one (269) that the tokenizer gives: published prompts were trained with it.
START, END = 49406, 49407
A_PHOTO_OF = (320, 1125, 539)
FULL_STOP = 13


class _TextTower(nn.Module):
    """The text side of either of open_clip's model classes, without the image side."""

    attn_mask: Tensor | None
    positional_embedding: nn.Parameter
    token_embedding: nn.Embedding
    transformer: Any
    text_projection: Any

    def __init__(self, clip: Any) -> None:
        super().__init__()
        tower = clip.text if isinstance(clip, open_clip.CustomTextCLIP) else clip
        pooling = getattr(tower, 'pool_type', None) or getattr(tower, 'text_pool_type', None)
        mask = getattr(tower, 'attn_mask', None)
        # At the end token under a causal mask (CLIP), or at the last position without one (SigLIP).
        self.reads_last = pooling == 'last' and mask is None
        known = self.reads_last or (pooling == 'argmax' and mask is not None)
        masked = getattr(tower, 'use_pad_mask', False)
        if not known or masked or getattr(tower, 'cls_emb', None) is not None:
            raise ValueError(
                'prompts need a CLIP text encoder with a causal transformer read at the end token, '
                'or a bidirectional one read at the last position, without class token and mask '
                f'of padding; this one ({type(tower).__name__}) pools by {pooling!r}: set '
                'clip.model to another model'
            )
        entries = tower.token_embedding.num_embeddings
        if entries != END + 1:
            raise ValueError(
                f'prompts need the byte-pair vocabulary of CLIP, {END + 1} entries, and this text '
                f'encoder has {entries}: set clip.model to another model'
            )
        self.pad_id: int = getattr(tower, 'pad_id', 0)
        self.token_embedding = tower.token_embedding
        self.positional_embedding = tower.positional_embedding
        self.transformer = tower.transformer
        self.ln_final = tower.ln_final
        self.text_projection = tower.text_projection
        self.register_buffer('attn_mask', mask, persistent=False)

    def _filled(self, embeddings: Tensor) -> Tensor:
        """Padding up to the context's length, which a bidirectional transformer sees."""
        lacking = len(self.positional_embedding) - embeddings.shape[1]
        padding = self.token_embedding.weight[self.pad_id].expand(len(embeddings), lacking, -1)
        return torch.cat([embeddings, padding.to(embeddings.dtype)], dim=1)

    def forward(self, embeddings: Tensor, ends: Tensor) -> Tensor:
        """Encode token embeddings (n, L, C) and read feature (n, D) at the positions ``ends``."""
        if self.reads_last:
            embeddings = self._filled(embeddings)
            ends = torch.full_like(ends, embeddings.shape[1] - 1)
        length = embeddings.shape[1]
        dtype = self.positional_embedding.dtype
        x = embeddings.to(dtype) + self.positional_embedding[:length].to(dtype)
        mask = None if self.attn_mask is None else self.attn_mask[:length, :length]
        *earlier, last = self.transformer.resblocks
        for block in earlier:
            x = block(x, attn_mask=mask)
        x = self.ln_final(read_tokens(last, x, ends, mask))
        if isinstance(self.text_projection, nn.Linear):
            return self.text_projection(x)
        return x if self.text_projection is None else x @ self.text_projection


@MODELS.register_module()
class CLIPTextHead(nn.Module):
    """Text features u_f of the classes and u_b of their background prompts.

    Args:
        class_names: The K object classes as CLIP should read them, without background.
        clip: A CLIP model or the config of one, see ``build_clip``. Its text side is rewritten
            in place, see ``streamline``.
        template: Sentence of a class; ``{}`` stands for its name.
        dtype: Precision of learned prompts' features, see ``CLIPImageHead``; those of the classes
            are always computed in float32.

    Raises:
        ValueError: If a class name is missing, the template has no place for it, the sentence
            is longer than CLIP's context, or ``dtype`` is unknown.
    """

    class_features: Tensor

    def __init__(
        self,
        class_names: Sequence[str],
        clip: nn.Module | dict[str, Any],
        template: str = 'a photo of {}.',
        dtype: str | None = None,
    ) -> None:
        super().__init__()
        if not class_names or not all(isinstance(name, str) and name for name in class_names):
            raise ValueError(f'class_names must be a list of names, got {class_names!r}')
        if '{}' not in template:
            raise ValueError(f'the template {template!r} needs {{}} where the class name goes')
        tower = _TextTower(as_clip(clip))
        self.encoder = Frozen(streamline(tower))
        self.context_length = len(self.encoder.network.positional_embedding)
        self._tokenizer = open_clip.SimpleTokenizer(context_length=self.context_length)
        self.class_names = tuple(class_names)
        # Encoded once, because encoder and names are fixed.
        features = self.encode_sentences([template.format(name) for name in class_names])
        self.register_buffer('class_features', features, persistent=False)
        self.encoder.dtype = half_precision(dtype, 'text_head.dtype')
        round_weights(self.encoder.network, self.encoder.dtype)

    @property
    def width(self) -> int:
        """Channels of a token embedding (512 for ViT-B/32)."""
        return self.encoder.network.token_embedding.embedding_dim

    @property
    def max_prompt_tokens(self) -> int:
        """Longest prompt that fits with start, "a photo of", "." and end."""
        return self.context_length - 6

    def embed(self, ids: Sequence[int]) -> Tensor:
        """Embeddings (n, C) of token ids; without positions."""
        table = self.encoder.network.token_embedding
        return table(torch.tensor(list(ids), dtype=torch.long, device=table.weight.device))

    def token_ids(self, text: str) -> list[int]:
        """Token ids of a text, without start and end."""
        return self._tokenizer.encode(text)

    @torch.no_grad()
    def encode_sentences(self, sentences: Sequence[str]) -> Tensor:
        """Encode ordinary sentences as open_clip's ``encode_text`` does.

        Args:
            sentences: n texts.

        Returns:
            (n, D) unit vectors.

        Raises:
            ValueError: If a sentence does not fit CLIP's context.
        """
        rows = [[START, *self.token_ids(sentence), END] for sentence in sentences]
        for sentence, row in zip(sentences, rows, strict=True):
            if len(row) > self.context_length:
                raise ValueError(
                    f'{sentence!r} has {len(row)} tokens, CLIP takes {self.context_length}'
                )
        # In a causal transformer tokens after the end token change nothing; others are filled up.
        length, pad = max(map(len, rows)), self.encoder.network.pad_id
        padded = torch.tensor([row + [pad] * (length - len(row)) for row in rows])
        table = self.encoder.network.token_embedding
        padded = padded.to(table.weight.device)
        ends = torch.tensor([len(row) - 1 for row in rows], device=padded.device)
        return F.normalize(self.encoder(table(padded), ends).float(), dim=-1)

    def encode_prompts(self, prompts: Tensor) -> Tensor:
        """Encode "a photo of <prompt>." with learned tokens (SemPLeS, section 3.3).

        The sequence is start, a, photo, of, the T prompt tokens, full stop, end; the feature is
        read at the end token, position 5 + T.

        Args:
            prompts: (n, T, C) token embeddings.

        Returns:
            (n, D) unit vectors; differentiable with respect to the prompts.

        Raises:
            ValueError: If the prompts are longer or of another width than the encoder takes.
        """
        count, tokens, width = prompts.shape
        if tokens > self.max_prompt_tokens or width != self.width:
            raise ValueError(
                f'prompts of {tokens} x {width} do not fit this CLIP text encoder: at most '
                f'{self.max_prompt_tokens} tokens of width {self.width}'
            )
        before = self.embed((START, *A_PHOTO_OF)).expand(count, -1, -1)
        after = self.embed((FULL_STOP, END)).expand(count, -1, -1)
        sequence = torch.cat([before, prompts, after], dim=1)
        ends = torch.full((count,), 5 + tokens, device=prompts.device)
        return F.normalize(self.encoder(sequence, ends).float(), dim=-1)
