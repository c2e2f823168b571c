"""Words by WordNet's files, a start that reads sentences as the mean of their words, one run."""

import json
import random

import make
import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from PIL import Image
from sentences import Reader, used_tokens
from timm.data import ImageNetInfo
from words import Word, concepts, read_words

from semples_mmseg.models.clip.loading import build_clip, untrained_clip
from semples_mmseg.models.clip.text_head import CLIPTextHead

WORDS = [
    Word('cat', 'hypernym', [281, 282]),
    Word('ox', 'class', [345]),
    Word('sofa bed', 'everyday', [831]),
    Word('tabby', 'class', [281]),
]


@pytest.fixture
def wordnet(tmp_path):
    """All of ImageNet's synsets below an animal or a thing, with a licence before them."""
    info = ImageNetInfo('imagenet-1k')
    lines = ['  1 The licence.', '  2 ']
    for index in range(1000):
        names = info.index_to_description(index, detailed=False).split(', ')
        named = ' '.join(f'{name.replace(" ", "_")} 0' for name in names)
        parent = '00000001' if index < 398 else '00000002'
        number = info.index_to_label_name(index)[1:]
        lines.append(f'{number} 05 n {len(names):02x} {named} 001 @ {parent} n 0000 | a gloss')
    lines.append('00000001 05 n 02 animal 0 genus_Tinca 0 000 | that lives')
    lines.append('00000002 05 n 01 thing 0 000 | any')
    (tmp_path / 'data.noun').write_text('\n'.join(lines))
    return tmp_path


def test_words_have_the_classes_below_them_and_no_latin_names(wordnet):
    words = {word.text: word for word in read_words(wordnet)}
    assert words['animal'].group == 'hypernym' and words['animal'].classes == [*range(398)]
    assert words['tench'].classes == [0] and 'tinca tinca' not in words
    assert 'thing' not in words  # of too many classes
    assert words['cow'].classes == words['ox'].classes and words['cow'].group == 'everyday'
    some = [words['cow'], words['animal'], words['ox']]
    assert concepts(some).sum(1).tolist() == [1, 398]
    assert [word.concept for word in some] == [0, 1, 0]


def test_before_training_a_sentence_is_the_mean_of_its_words():
    torch.manual_seed(0)
    config = dict(embed_dim=24, text_cfg=dict(make.TEXT, vocab_size=0, width=64))
    config['vision_cfg'] = dict(image_size=8, patch_size=8, width=8, layers=1, head_width=8)
    tokenizer = make.open_clip.SimpleTokenizer(context_length=40)
    tokens = used_tokens(WORDS, tokenizer)
    config['text_cfg']['vocab_size'] = len(tokens)
    table = F.normalize(torch.randn(4, 24), dim=-1)
    clip = untrained_clip(config)
    clip.tokenizer = tokenizer
    concepts(WORDS)
    reader = Reader(clip, tokens, table, WORDS)
    sentences = ['a photo of cat.', 'a photo of ox and tabby in the background', 'tabby']
    found = reader.read(reader.tokenize(sentences, random.Random(0)))
    wanted = F.normalize(torch.stack([table[0], table[1] + table[3], table[3]]), dim=-1)
    assert F.cosine_similarity(found, wanted).min() > 0.98


def test_it_makes_a_clip_that_configs_read_and_says_how_good_it_is(wordnet, monkeypatch):
    torch.manual_seed(0)
    state = timm.create_model(make.MODEL).state_dict().values()
    file = wordnet / 'lite0.pth'
    torch.save({f'_blocks.{index}': value for index, value in enumerate(state)}, file)
    (wordnet / 'known/photos').mkdir(parents=True)
    (wordnet / 'known/masks').mkdir()
    photos = np.random.default_rng(0).integers(0, 255, (11, 40, 50, 3), np.uint8)
    for index, photo in enumerate(photos):
        Image.fromarray(photo).save(wordnet / 'known/photos' / f'{index}.jpg')
    Image.fromarray(np.tile(np.uint8([1] * 25 + [2] * 25), (40, 1))).save(
        wordnet / 'known/masks/10.png'
    )
    (wordnet / 'known/classes.txt').write_text('cat\nox\n')
    (wordnet / 'known/tags.csv').write_text('image,tag\n10.jpg,cat\n10.jpg,ox\n')
    monkeypatch.setattr(make, 'SIZE', 32)
    monkeypatch.setitem(make.TEXT, 'width', 32)
    monkeypatch.setattr(make, 'read_words', lambda _: WORDS)
    options = ['--backbone', file, '--wordnet', wordnet, '--photos', wordnet / 'known/photos']
    options += ['--steps', 2, 2, '--evaluate', wordnet / 'known', '--out']
    out = wordnet / 'out'
    monkeypatch.setattr('sys.argv', ['make.py', *map(str, [*options, out])])
    make.main()
    report = json.loads((out / 'report.json').read_text())
    assert report['left_out']['class']['words'] == 2
    assert report['evaluation']['known']['pairs'] == 2
    assert set(report['evaluation']['known']['clip']) == {'first', 'foreground'}
    assert json.loads((out / 'vocabulary.json').read_text())['everyday'] == ['sofa bed']
    clip = build_clip(str(out / 'small_clip.json'), str(out / 'small_clip.safetensors'))
    assert CLIPTextHead(['cat', 'ox'], clip).max_prompt_tokens == 34
