"""The words nearest to the learned prompts of a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..utils.errors import Missing, Refusal
from ..utils.files import read_text
from ..utils.progress import progress

NOUNS = Path(__file__).parent / 'nouns.txt'
"""Common nouns of things, places, animals and materials, written for this package."""

_BATCH = 128


class NearWord(NamedTuple):
    """A word near the prompt of a class.

    Attributes:
        word: The word.
        similarity: Cosine of "a photo of {word}." with the prompt.
        class_rank: Rank of the class among all classes for this word; 1 if no other class's prompt
            is nearer to it.
        other_class: The other class in whose list the word has the highest rank; ``None`` if there
            is no other class.
        other_rank: Its rank in that list, from 1.
    """

    word: str
    similarity: float
    class_rank: int
    other_class: str | None
    other_rank: int | None


def read_words(path: Path = NOUNS) -> list[str]:
    """Read a list of words, one a line; lines that begin with ``#`` are comments.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no text in UTF-8, or a line is empty or occurs twice.
    """
    if not path.is_file():
        raise Missing(f'no list of words at {path}')
    words: dict[str, int] = {}
    for number, line in enumerate(read_text(path, 'list of words').splitlines(), 1):
        word = line.strip()
        if word.startswith('#'):
            continue
        if not word:
            raise Refusal(f'{path}, line {number} is empty: one word a line, without empty lines')
        if word in words:
            raise Refusal(f'{path}, line {number}: {word!r} is in line {words[word]} already')
        words[word] = number
    if not words:
        raise Refusal(f'{path} has no words')
    return list(words)


def encode_words(text_head: Any, words: Sequence[str]) -> tuple[list[str], Tensor]:
    """Features of "a photo of {word}." for the words that are known to a CLIP.

    A word is unknown if one of its tokens has an embedding of zeros, like tokens that the demo's
    small CLIP was not trained on.

    Args:
        text_head: A ``CLIPTextHead``.
        words: The words.

    Returns:
        The n known words, and their features (n, D), unit vectors.

    Raises:
        ValueError: If none is known.
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
    """The words nearest to the prompt of each class.

    Args:
        prompts: (K, D) unit vectors.
        classes: Names of the K classes.
        words: The n words.
        features: (n, D) unit vectors.
        count: Number of words for each class.

    Returns:
        For each class its nearest words, the nearest first.
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
        alone = len(classes) == 1
        found[name] = [
            NearWord(
                words[n],
                float(cosines[k, n]),
                int(class_place[k, n]) + 1,
                None if alone else classes[int(where[n])],
                None if alone else int(best[n]) + 1,
            )
            for n in place[k].argsort()[:count].tolist()
        ]
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
                line += (
                    f'  rank {near.class_rank} of {len(found)} classes; '
                    f'word {near.other_rank} of {near.other_class}'
                )
            lines.append(line)
    return '\n'.join(lines)
