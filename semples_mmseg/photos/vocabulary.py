"""The words that the small CLIP knows, and tags that are none of them."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..figures.words import read_words
from ..utils.classes import label_name, prompt_name
from ..utils.files import read_json
from ..utils.lists import name_some

VOCABULARY = Path(__file__).parents[1] / 'models' / 'small_clip' / 'vocabulary.json'
"""Lists of words, lower case, by their group."""


def known_words(weights: str) -> list[str]:
    """Words to name learned prompts by: common nouns, or all that the small CLIP knows."""
    if weights != 'small':
        return read_words()
    return sorted({*itertools.chain(*read_json(VOCABULARY).values())})


def unknown_words(classes: Iterable[str], weights: str) -> str:
    """Classes whose words the small CLIP does not know, and what to do, as a text; perhaps empty.

    Args:
        classes: Class names as written, ``person|player``.
        weights: What training starts from; other models than ``'small'`` read any word.
    """
    if weights != 'small':
        return ''
    words = known_words(weights)
    unknown = {
        name: near_words(prompt_name(name).lower(), words)
        for name in classes
        if prompt_name(name).lower() not in words
    }
    if not unknown:
        return ''
    told = [
        f'{label_name(name)} (near: {", ".join(near) or "none"})' for name, near in unknown.items()
    ]
    first = label_name(next(iter(unknown)))
    return (
        f'the small CLIP does not know the words of {name_some(told)}. Name one of the '
        f'{len(words)} English nouns that it knows, after a |, in the file of --classes, a class a '
        f'line: {first}|WORD; or take --weights pretrained'
    )


def near_words(name: str, words: Sequence[str]) -> list[str]:
    """At most three of the ``words`` that are parts of a name, or are spelt like it or a part."""
    parts = name.split()
    texts = [
        ' '.join(parts[start:end])
        for start, end in itertools.combinations(range(len(parts) + 1), 2)
    ]
    inside = [text for text in texts if text in words]
    similar = (difflib.get_close_matches(text, words, cutoff=0.75) for text in (name, *parts))
    return list(dict.fromkeys([*inside, *itertools.chain(*similar)]))[:3]
