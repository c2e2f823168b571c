"""The words of the small CLIP: ImageNet's classes, their synonyms and hypernyms, everyday tags."""

from dataclasses import dataclass
from pathlib import Path

import torch
from timm.data import ImageNetInfo
from torch import Tensor

MOST_CLASSES = 450
"""Words of more classes than this ("entity", "object") say too little."""
EVERYDAY = Path(__file__).with_name('everyday.txt')


@dataclass
class Word:
    """A word, its ``group`` (class, hypernym or everyday) and the indices of its classes.

    Words of the same classes are one ``concept``.
    """

    text: str
    group: str
    classes: list[int]
    concept: int = -1


def read_words(wordnet: Path) -> list[Word]:
    """All words, sorted by text, from WordNet's ``data.noun``; a word of two meanings has both."""
    synonyms, parents = _read_nouns(wordnet)
    info = ImageNetInfo('imagenet-1k')
    synsets = [info.index_to_label_name(index)[1:] for index in range(1000)]
    below: dict[str, set[int]] = {}
    for index, synset in enumerate(synsets):
        waiting = list(parents[synset])
        while waiting:
            parent = waiting.pop()
            if index not in below.setdefault(parent, set()):
                below[parent].add(index)
                waiting += parents[parent]
    found: dict[str, dict[str, set[int]]] = {'class': {}, 'hypernym': {}, 'everyday': {}}
    for index, synset in enumerate(synsets):
        for text in synonyms[synset]:
            found['class'].setdefault(text, set()).add(index)
    for synset, members in below.items():
        if 2 <= len(members) <= MOST_CLASSES or synset in {parents[s][0] for s in synsets}:
            for text in synonyms[synset]:
                found['hypernym'].setdefault(text, set()).update(members)
    for line in EVERYDAY.read_text(encoding='utf-8').splitlines()[1:]:
        texts, names = line.split(': ')
        members = set().union(*(found['class'][_plain(name)] for name in names.split()))
        for text in texts.split():
            found['everyday'].setdefault(_plain(text), set()).update(members)
    words: dict[str, Word] = {}
    for group, of_group in found.items():
        for text, members in of_group.items():
            both = members | set(words[text].classes if text in words else ())
            if len(both) <= MOST_CLASSES:
                words[text] = Word(text, group, sorted(both))
    return [words[text] for text in sorted(words)]


def concepts(words: list[Word]) -> Tensor:
    """Number the concepts of words; (concepts, 1000) is 1 where a class is in one."""
    distinct = dict.fromkeys(tuple(word.classes) for word in words)
    rows = {classes: row for row, classes in enumerate(distinct)}
    members = torch.zeros(len(rows), 1000)
    for word in words:
        word.concept = rows[tuple(word.classes)]
        members[word.concept, word.classes] = 1
    return members


def _plain(text: str) -> str:
    return text.replace('_', ' ').lower()


def _read_nouns(wordnet: Path) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Texts, and numbers of the hypernyms, of each synset of nouns by its number."""
    names, parents = {}, {}
    for line in (wordnet / 'data.noun').read_text(encoding='utf-8').splitlines():
        if line.startswith(' '):  # the licence
            continue
        fields = line.split(' | ')[0].split()
        end = 4 + 2 * int(fields[3], 16)
        names[fields[0]] = [text.split('(')[0] for text in fields[4:end:2]]
        kinds, others = fields[end + 1 :: 4], fields[end + 2 :: 4]
        parents[fields[0]] = [
            other for kind, other in zip(kinds, others, strict=False) if kind in ('@', '@i')
        ]
    # Latin names of species begin with the name of a genus.
    every = {name for some in names.values() for name in some}
    synonyms = {
        synset: [_plain(n) for n in some if '_' not in n or f'genus_{n.split("_")[0]}' not in every]
        for synset, some in names.items()
    }
    return synonyms, parents
