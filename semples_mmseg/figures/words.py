"""The words nearest to the learned prompts of a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..utils.errors import Refusal
from ..utils.files import read_text
from ..utils.parallel import progress

NOUNS = Path(__file__).parent / 'nouns.txt'
"""Common nouns of things, places, animals and materials, written for this package."""

_BATCH = 128


class NearWord(NamedTuple):
    """A word near the prompt of a class.

    ``similarity`` is the cosine of "a photo of {word}." with the prompt, ``class_rank`` the rank,
    from 1, of the class among all for this word; ``other_class`` is the other class in whose list
    the word ranks highest, at ``other_rank``.
    """

    word: str
    similarity: float
    class_rank: int
    other_class: str | None
    other_rank: int | None


def read_words(path: Path = NOUNS) -> list[str]:
    """Read a list of words, one a line, each once; lines that begin with ``#`` are comments."""
    lines = [line.strip() for line in read_text(path, 'list of words').splitlines()]
    words = [*dict.fromkeys(line for line in lines if line and not line.startswith('#'))]
    if not words:
        raise Refusal(f'{path} has no words')
    return words


def encode_words(text_head: Any, words: Sequence[str]) -> tuple[list[str], Tensor]:
    """The words that are known to a CLIP, and the features (n, D) of "a photo of {word}.".

    A word is unknown if one of its tokens has an embedding of zeros, like tokens that a small CLIP
    was not trained on; if all are, they are refused.
    """
    known = [word for word in words if text_head.embed(text_head.token_ids(word)).any(1).all()]
    if not known:
        raise Refusal(f'this CLIP knows none of the {len(words)} words: give others with --words')
    batches = [known[start : start + _BATCH] for start in range(0, len(known), _BATCH)]
    features = [
        text_head.encode_sentences([f'a photo of {word}.' for word in batch])
        for batch in progress(batches, 'words')
    ]
    return known, torch.cat(features)


def nearest_words(
    prompts: Tensor, classes: Sequence[str], words: Sequence[str], features: Tensor, count: int = 10
) -> dict[str, list[NearWord]]:
    """The ``count`` words nearest to the prompt of each class, the nearest first.

    Prompts (K, D) and features (n, D) of the words are unit vectors.
    """
    cosines = prompts @ features.T
    # (K, n), from 0: place of a word in the list of a class, and of a class for a word
    place = cosines.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    class_place = cosines.argsort(dim=0, descending=True, stable=True).argsort(dim=0)
    found: dict[str, list[NearWord]] = {}
    for k, name in enumerate(classes):
        others = place.clone()
        others[k] = len(words)
        best, where = others.min(0)
        found[name] = []
        for n in place[k].argsort()[:count].tolist():
            other = (classes[int(where[n])], int(best[n]) + 1) if len(classes) > 1 else (None, None)
            ranks = int(class_place[k, n]) + 1, *other
            found[name].append(NearWord(words[n], float(cosines[k, n]), *ranks))
    return found


def words_table(found: dict[str, list[NearWord]]) -> str:
    """The nearest words as lines of text."""
    width = max(len(near.word) for words in found.values() for near in words)
    lines = []
    for name, words in found.items():
        lines.append(name)
        for near in words:
            line = f'  {near.word:{width}}  {near.similarity:6.3f}'
            if near.other_class is not None:
                line += f'  rank {near.class_rank} of {len(found)} classes; '
                line += f'word {near.other_rank} of {near.other_class}'
            lines.append(line)
    return '\n'.join(lines)
