"""Nearest words: the shipped list, lists of one's own, ranks, and the tool."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from run_tool import run_tool

from semples_mmseg.figures.words import NOUNS, encode_words, nearest_words, read_words, words_table


def test_the_shipped_list_is_whole():
    words = read_words()
    assert 1500 <= len(words) <= 2000
    assert words == sorted(words) and len({word.lower() for word in words}) == len(words)
    assert all(word.replace(' ', '').replace('-', '').isalpha() for word in words)
    assert {'railway', 'sky', 'grass', 'wall', 'cow', 'steel', 'river'} <= set(words)
    page = Path(__file__).parents[2] / 'docs' / 'paper.md'
    assert f'{len(words):,} common English nouns' in page.read_text()
    assert NOUNS.read_text().startswith('# SPDX-License-Identifier: Apache-2.0\n')


@pytest.mark.parametrize(
    ('content', 'message'),
    [(b'# nothing\n', 'has no words'), (b'caf\xe9\n', 'is not a text in UTF-8')],
)
def test_wrong_lists_are_named(tmp_path, content, message):
    path = tmp_path / 'words.txt'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f'words.txt.*{message}'):
        read_words(path)
    path.write_text('# my words\ntree\n\nsea \ntree\n')
    assert read_words(path) == ['tree', 'sea']
    with pytest.raises(FileNotFoundError, match='other.txt'):
        read_words(tmp_path / 'other.txt')


def test_words_have_similarity_and_ranks():
    words = F.normalize(torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), dim=-1)
    prompts = F.normalize(torch.tensor([[1.0, 0.1], [1.0, 1.1]]), dim=-1)
    found = nearest_words(prompts, ['boat', 'cow'], ['sea', 'sand', 'grass'], words, count=2)
    sea, sand = found['boat']
    assert (sea.word, sea.class_rank, sea.other_class, sea.other_rank) == ('sea', 1, 'cow', 3)
    assert (sand.word, sand.class_rank, sand.other_rank) == ('sand', 2, 1)
    assert sea.similarity == pytest.approx(float(prompts[0] @ words[0]))
    assert [near.word for near in found['cow']] == ['sand', 'grass']
    assert 'rank 2 of 2 classes; word 1 of cow' in words_table(found)
    (alone,) = nearest_words(prompts[:1], ['boat'], ['sea', 'sand', 'grass'], words, 1)['boat']
    assert (alone.word, alone.class_rank, alone.other_class) == ('sea', 1, None)


def test_words_without_embeddings_are_left_out(tiny_semples):
    head = MODELS.build(tiny_semples).text_head
    with torch.no_grad():
        head.encoder.network.token_embedding.weight[head.token_ids('tree')] = 0
    words, features = encode_words(head, ['tree', 'sea', 'tree house'])
    assert words == ['sea']
    assert torch.equal(features, head.encode_sentences(['a photo of sea.']))
    with pytest.raises(ValueError, match='knows none of the 1 words'):
        encode_words(head, ['tree'])


def test_the_tool_prints_and_writes_them(tiny_run, capsys):
    (tiny_run / 'words.txt').write_text('tree\nsea\nrock\n')
    run_tool(
        *('visualize.py', 'words', tiny_run / 'cfg.py', tiny_run / 'refine.pth', '--count', 2),
        *('--words', tiny_run / 'words.txt', '--json', tiny_run / 'near.json'),
    )
    found = json.loads((tiny_run / 'near.json').read_text())
    assert list(found) == ['cat', 'dog', 'tvmonitor']
    assert all(len(words) == 2 for words in found.values())
    near = found['cat'][0]
    assert f'{near["word"]:4}  {near["similarity"]:6.3f}' in capsys.readouterr().out
