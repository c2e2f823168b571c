"""CLIP heads and prompts against open_clip itself; loading of every layout of weights."""

import copy
import importlib.util
import json
import socket
import sys
import time

import huggingface_hub
import open_clip
import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from safetensors.torch import save_file
from tiny import TINY_SEMPLES

from semples_mmseg.models import CLIPImageHead, CLIPTextHead, PromptLearner, build_clip
from semples_mmseg.models.clip import loading
from semples_mmseg.models.stages import STAGES
from semples_mmseg.weights import hub

# Ids of CLIP's vocabulary. The full stop is the one inside a word.
START, A_PHOTO_OF, FULL_STOP, END = 49406, (320, 1125, 539), 13, 49407
NAMES = ['cat', 'potted plant', 'player']
SENTENCES = ['a photo of a dog.', 'Water, and a very small boat', 'sky']


@pytest.fixture
def weights(tiny_clip, tmp_path):
    """A CLIP model with random weights, and the file they are in."""
    torch.manual_seed(3)
    clip = build_clip(tiny_clip, pretrained=None)
    for parameter in clip.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    path = tmp_path / 'clip.safetensors'
    save_file({key: value.contiguous() for key, value in clip.state_dict().items()}, path)
    return clip, str(path)


def text_head(tiny_clip, path, names=NAMES, **options):
    return CLIPTextHead(names, clip=dict(model=tiny_clip, pretrained=path), **options)


def test_prompt_layout_and_position(tiny_clip, weights):
    """Start, "a photo of", prompt, ".", end, zeros up to 77; read at position 5 + T."""
    clip, path = weights
    head = text_head(tiny_clip, path)
    ids = torch.tensor([[1000, 2000, 3000], [7, 8, 9]])
    prompts = clip.token_embedding(ids)
    row = torch.zeros(2, 77, dtype=torch.long)
    row[:, :4] = torch.tensor([START, *A_PHOTO_OF])
    row[:, 4:7] = ids
    row[:, 7], row[:, 8] = FULL_STOP, END
    x = clip.token_embedding(row) + clip.positional_embedding
    x = clip.ln_final(clip.transformer(x, attn_mask=clip.attn_mask))
    expected = F.normalize(x[:, 5 + 3] @ clip.text_projection, dim=-1)
    torch.testing.assert_close(head.encode_prompts(prompts), expected, rtol=1e-4, atol=1e-5)
    tokens = open_clip.SimpleTokenizer()([f'a photo of {name}.' for name in NAMES])
    expected = clip.encode_text(tokens, normalize=True)
    torch.testing.assert_close(head.class_features, expected, rtol=1e-4, atol=1e-5)
    assert not list(head.parameters()) and 'class_features' not in head.state_dict()


def test_text_head_errors(tiny_clip):
    with pytest.raises(ValueError, match='class_names must be a list of names'):
        text_head(tiny_clip, None, names=[])
    with pytest.raises(ValueError, match='needs {} where'):
        text_head(tiny_clip, None, template='a photo')
    with pytest.raises(ValueError, match='longer than the 77 tokens that CLIP takes'):
        text_head(tiny_clip, None, names=['very ' * 80])
    other = dict(tiny_clip, text_cfg=dict(tiny_clip['text_cfg'], vocab_size=32000))
    with pytest.raises(ValueError, match='ids up to 49407, and .* 32000: set clip.tokenizer'):
        text_head(other, None)
    other = dict(tiny_clip, custom_text=True)
    other['text_cfg'] = dict(tiny_clip['text_cfg'], pool_type='none', output_tokens=True)
    with pytest.raises(ValueError, match="(?s)gives one feature; .*TextTransformer.* by 'none'"):
        text_head(other, None)


def test_text_and_image_of_the_custom_text_class(tiny_clip, weights):
    """open_clip's other model class holds the same weights under other names."""
    clip, path = weights
    config = dict(tiny_clip, custom_text=True)
    torch.testing.assert_close(
        text_head(config, path).class_features, text_head(tiny_clip, path).class_features
    )


def head_mean(values):
    return torch.tensor(values).view(1, 3, 1, 1)


def test_image_head_is_frozen_but_passes_gradients_to_pixels(tiny_clip):
    head = CLIPImageHead(dict(model=tiny_clip, pretrained=None))
    head.train()
    images = torch.randn(1, 3, 48, 40, requires_grad=True)
    prepared = head.prepare(images)
    assert prepared.shape == (1, 3, 32, 32)
    head(prepared)[:, 0].sum().backward()
    assert images.grad.abs().sum() > 0
    assert not head.encoder.network.training
    assert not list(head.parameters()) and not head.state_dict()
    assert all(p.grad is None for p in head.encoder.network.parameters())
    given = CLIPImageHead(dict(model=tiny_clip, pretrained=None), normalization='input')
    torch.testing.assert_close(given.prepare(prepared), prepared)
    assert head.double()(prepared.detach().double()).dtype == torch.float32
    with pytest.raises(ValueError, match="normalization must be .* got 'none'"):
        CLIPImageHead(dict(model=tiny_clip, pretrained=None), normalization='none')


def saved_bytes(network, run):
    """Bytes besides weights that the graph of ``run()`` keeps for its backward pass."""
    weights = {p.untyped_storage().data_ptr() for p in network.parameters()}
    sizes = {}

    def keep(tensor):
        where = tensor.untyped_storage().data_ptr()
        if where not in weights:
            sizes[where] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = run()
    assert result.requires_grad
    return sum(sizes.values())


def test_parts_of_a_batch_have_the_gradients_of_the_whole(tiny_clip, weights):
    whole = CLIPImageHead(dict(model=tiny_clip, pretrained=weights[1]))
    parts = CLIPImageHead(dict(model=tiny_clip, pretrained=weights[1]), max_batch=2)
    images = torch.randn(5, 3, 32, 32, requires_grad=True)
    aim = torch.randn(5, 16)
    (wanted,) = torch.autograd.grad((whole(images) * aim).sum(), images)
    (got,) = torch.autograd.grad((parts(images) * aim).sum(), images)
    torch.testing.assert_close(parts(images), whole(images), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-7)
    kept = [saved_bytes(h.encoder.network, lambda h=h: h(images)) for h in (parts, whole)]
    assert kept[0] == images.nbytes  # what came in, whatever the depth
    assert kept[1] > 5 * 2 * 5 * 32 * 4  # of each block several times its tokens
    with pytest.raises(ValueError, match='max_batch must be at least 1 or None, got 0'):
        CLIPImageHead(dict(model=tiny_clip, pretrained=None), max_batch=0)
    with pytest.raises(ValueError, match='input_size is 48, but this CLIP embeds positions'):
        CLIPImageHead(dict(model=tiny_clip, pretrained=None), input_size=48)


@pytest.mark.parametrize('kind', ['vit', 'resnet', 'coca'])
def test_rounded_weights_compute_what_autocast_computes(tiny_clip, kind):
    """Bit for bit: features, and gradients with respect to pixels and prompts."""
    clip = random_clip(of_kind(tiny_clip, kind))
    plain = CLIPImageHead(copy.deepcopy(clip))
    rounded = CLIPImageHead(copy.deepcopy(clip), dtype='bfloat16')
    images = torch.randn(5, 3, *plain.input_size, requires_grad=True)
    aim = torch.randn(5, 16)
    with torch.autocast('cpu', torch.bfloat16):
        wanted = plain(images)
    got = rounded(images)
    assert torch.equal(got, wanted) and got.dtype == torch.float32
    assert not torch.equal(wanted, plain(images))
    gradients = [torch.autograd.grad((v * aim).sum(), images)[0] for v in (got, wanted)]
    assert torch.equal(*gradients) and gradients[0].abs().max() > 0

    plain, rounded = (CLIPTextHead(NAMES, copy.deepcopy(clip), dtype=d) for d in (None, 'bfloat16'))
    assert torch.equal(rounded.class_features, plain.class_features)  # in float32
    prompts = torch.rand(2, 4, 24, requires_grad=True)
    with torch.autocast('cpu', torch.bfloat16):
        wanted = plain.encode_prompts(prompts)
    got = rounded.encode_prompts(prompts)
    assert torch.equal(got, wanted)
    gradients = [torch.autograd.grad((v * aim[:2]).sum(), prompts)[0] for v in (got, wanted)]
    assert torch.equal(*gradients) and gradients[0].abs().max() > 0
    for head, args in ((CLIPImageHead, ()), (CLIPTextHead, (NAMES,))):
        with pytest.raises(ValueError, match=r"head.dtype must .* bfloat16, float16, got 'bf16'"):
            head(*args, clip=copy.deepcopy(clip), dtype='bf16')


def test_folded_quick_gelu_keeps_less(tiny_clip, weights):
    path = weights[1]
    clip = build_clip(tiny_clip, path, quick_gelu=True).requires_grad_(False)
    head = CLIPImageHead(dict(model=tiny_clip, pretrained=path, quick_gelu=True))
    images = torch.randn(2, 3, 32, 32, requires_grad=True)
    assert 'QuickGELU' in repr(clip) and 'QuickGELU' not in repr(head.encoder.network)
    folded = saved_bytes(head.encoder.network, lambda: head(images))
    assert folded < 0.9 * saved_bytes(clip, lambda: clip.encode_image(images))


def test_both_heads_share_a_clip_that_is_read_once(tiny_clip, weights, monkeypatch):
    reads, read = [], loading.read_state_dict
    monkeypatch.setattr(loading, 'read_state_dict', lambda p: reads.append(p) or read(p))
    MODELS.build(dict(TINY_SEMPLES, clip=dict(model=tiny_clip, pretrained=weights[1])))
    assert len(reads) == 1


def test_coca_is_loaded_whole_whatever_shape_its_scale_has(tiny_clip, tmp_path):
    (tmp_path / 'clip.json').write_text(json.dumps(of_kind(tiny_clip, 'coca')))
    config = str(tmp_path / 'clip.json')
    clip = random_clip(config)
    state = dict(clip.state_dict(), logit_scale=clip.logit_scale.detach()[None])
    save_file(
        {key: value.contiguous() for key, value in state.items()}, tmp_path / 'coca.safetensors'
    )
    got = build_clip(config, str(tmp_path / 'coca.safetensors'))
    assert got.logit_scale.shape == ()
    tokens = clip.tokenizer(SENTENCES)
    torch.testing.assert_close(got.encode_text(tokens), clip.encode_text(tokens))


def test_missing_weights(tmp_path):
    with pytest.raises(FileNotFoundError, match='no weights at .*ViT-B-32.pt: put the file there'):
        build_clip('ViT-B-32', str(tmp_path / 'ViT-B-32.pt'))
    with pytest.raises(ValueError, match="unknown CLIP model 'ViT-B-23'"):
        build_clip('ViT-B-23', None)
    with pytest.raises(FileNotFoundError, match="neither a file nor a tag of 'ViT-B-32'"):
        build_clip('ViT-B-32', 'opnai')
    with pytest.raises(ValueError, match="'roberta-base' of Hugging Face, .* no learned prompts"):
        build_clip('coca_roberta-ViT-B-32', None)


def test_no_network_is_said_within_seconds(monkeypatch, tmp_path):
    """A server that never answers is as good as none; a download that fails says why."""
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setattr(huggingface_hub, 'try_to_load_from_cache', lambda *_: None)
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    monkeypatch.setattr(hub, 'PATIENCE', 0.3)
    with socket.create_server(('127.0.0.1', 0)) as server:
        address = f'http://127.0.0.1:{server.getsockname()[1]}'
        monkeypatch.setattr(huggingface_hub.constants, 'ENDPOINT', address)
        begin = time.monotonic()
        with pytest.raises(FileNotFoundError, match=f'(?s){address}.*clip.pretrained=pretrained'):
            build_clip('ViT-B-32', 'openai')
        assert time.monotonic() - begin < 4

    def fail(known):
        raise ConnectionError('reset by peer')

    monkeypatch.setattr(hub, 'reachable', lambda address: True)
    monkeypatch.setattr(open_clip.pretrained, 'download_pretrained', fail)
    with pytest.raises(FileNotFoundError, match='(?s)reset by peer.*clip.pretrained=pretrained'):
        build_clip('ViT-B-32', 'openai')


def test_cached_files_need_no_network(monkeypatch, tmp_path):
    def fail(*_):
        raise AssertionError('asked the network')

    monkeypatch.setattr(hub, 'reachable', fail)
    kept = tmp_path / 'model.safetensors'
    monkeypatch.setattr(huggingface_hub, 'try_to_load_from_cache', lambda *_: str(kept))
    assert hub.find_tag('ViT-B-32', 'openai') == (kept, True)


def test_prompt_learner_starts_uniform_or_from_words(tiny_clip, weights):
    torch.manual_seed(0)
    prompts = PromptLearner(5, 30, 64)().detach()
    assert prompts.shape == (5, 30, 64)
    assert prompts.min() >= 0 and prompts.max() < 1
    assert prompts.mean().item() == pytest.approx(0.5, abs=0.02)
    head = text_head(tiny_clip, weights[1])
    learner = PromptLearner(3, 4, 24, init_words=['water', 'the sky', 'grass'])
    learner.prepare(head, ())
    the, sky = head.embed(head.token_ids('the sky'))
    torch.testing.assert_close(learner()[1], torch.stack([the, sky, the, sky]))
    with pytest.raises(ValueError, match='5 tokens for prompts of 4'):
        PromptLearner(1, 4, 24, init_words=['one two three four five']).prepare(head, ())
    with pytest.raises(ValueError, match='2 texts for 3 classes'):
        PromptLearner(3, 4, 24, init_words=['a', 'b'])
    with pytest.raises(ValueError, match='num_tokens must be at least 1, got 0'):
        PromptLearner(3, 0, 24)


# Differences to the tiny CLIP: image tower, text tower, the rest of the config.
SHORT = dict(context_length=32)
BIDIRECTIONAL = dict(no_causal_mask=True)
POOLER = dict(attentional_pool=True, attn_pooler_heads=2, output_tokens=True)
COCA = dict(context_length=76, embed_cls=True, output_tokens=True)
DECODER = dict(
    context_length=76, vocab_size=49408, width=24, heads=2, layers=1, attn_pooler_heads=2
)
CUSTOM = dict(custom_text=True)
MEANS = dict(mean=(0.5, 0.4, 0.3), std=(0.5, 0.6, 0.7))


def timm(name, size=64, pool='', projection='linear'):
    return dict(timm_model_name=name, timm_pool=pool, timm_proj=projection, image_size=size)


KINDS = dict(
    vit=({}, {}, {}),
    resnet=(dict(image_size=32, layers=[1, 1, 1, 1], width=8, head_width=16), {}, {}),
    convnext=(timm('test_convnext'), {}, {}),
    coca=(POOLER, COCA, dict(CUSTOM, multimodal_cfg=DECODER)),
    siglip=(
        timm('test_vit3', 160, 'map', 'none'),
        dict(BIDIRECTIONAL, pool_type='last', proj_bias=True, context_length=64),
        dict(CUSTOM, embed_dim=96, preprocess_cfg=MEANS, init_logit_bias=-10),
    ),
    mobileclip=(timm('test_efficientnet'), BIDIRECTIONAL, CUSTOM),
    perception=({}, SHORT, dict(CUSTOM, quick_gelu=True)),
)
# Text towers that no tiny CLIP above has; the last two as attributes, which no config sets.
TEXT_TOWERS = dict(
    clipa=(dict(BIDIRECTIONAL, pool_type='last', context_length=32), {}),
    end_by_id=(dict(SHORT, pool_type='eos', eos_id=END), CUSTOM),
    first=(dict(BIDIRECTIONAL, pool_type='first', proj_type='none', width=16), CUSTOM),
    causal_last=(dict(pool_type='last', qk_norm=True), CUSTOM),
    other_blocks_coca=(dict(embed_cls=True, qk_norm=True), CUSTOM),
    cut_tokens=(dict(SHORT, tokenizer_kwargs=dict(clean='canonicalize')), {}),
    hidden_padding=(BIDIRECTIONAL, CUSTOM),
    exact_coca=(dict(embed_cls=True), CUSTOM),
)
ATTRIBUTES = dict(hidden_padding='use_pad_mask', exact_coca='correct_cls_mask')


def of_kind(tiny_clip, kind):
    """An open_clip config like those of a known family."""
    vision, text, rest = KINDS[kind] if kind in KINDS else ({}, *TEXT_TOWERS[kind])
    vision_cfg = (
        vision
        if 'layers' in vision or 'timm_pool' in vision
        else {**tiny_clip['vision_cfg'], **vision}
    )
    return dict(
        tiny_clip, vision_cfg=vision_cfg, text_cfg=dict(tiny_clip['text_cfg'], **text), **rest
    )


def random_clip(config):
    torch.manual_seed(0)
    clip = build_clip(config, None)
    for name, parameter in clip.named_parameters():
        if 'visual' not in name:
            torch.nn.init.normal_(parameter, std=0.2)
    return clip


@pytest.mark.parametrize('kind', [*KINDS, *TEXT_TOWERS])
def test_text_of_other_clips(tiny_clip, kind):
    """Features of sentences, and of prompts of real words, are those of open_clip itself."""
    clip = random_clip(of_kind(tiny_clip, kind))
    if kind in ATTRIBUTES:
        setattr(clip.text, ATTRIBUTES[kind], True)
    template = ['a photo of very blue sky.', 'a photo of grass.']
    tokens = clip.tokenizer(SENTENCES + template)
    # Learned prompts are followed by the full stop inside a word.
    prompted = tokens[-2:].where(tokens[-2:] != 269, torch.tensor(FULL_STOP))
    with torch.no_grad():
        expected = clip.encode_text(tokens, normalize=True)
        wanted = clip.encode_text(prompted, normalize=True)
    head = CLIPTextHead(NAMES, clip)
    got = head.encode_sentences(SENTENCES + template)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    assert len(got.unique(dim=0)) == len(got)
    for words, feature in zip(('very blue sky', 'grass'), wanted, strict=True):
        prompt = head.embed(head.token_ids(words))[None]
        torch.testing.assert_close(head.encode_prompts(prompt)[0], feature, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('kind', KINDS)
def test_images_of_other_clips(tiny_clip, kind):
    """Mean, deviation and size are the model's own, and so are the features."""
    clip = random_clip(of_kind(tiny_clip, kind))
    mean, std = MEANS.values() if kind == 'siglip' else (OPENAI_DATASET_MEAN, OPENAI_DATASET_STD)
    size = KINDS[kind][0].get('image_size', 32)
    pixels = torch.rand(2, 3, size, size)
    wanted = (pixels - head_mean(mean)) / head_mean(std)
    with torch.no_grad():
        expected = clip.encode_image(wanted, normalize=True)
    head = CLIPImageHead(clip)
    assert head.input_size == (size, size)
    given = (pixels * 255 - head_mean((123.675, 116.28, 103.53))) / head_mean(
        (58.395, 57.12, 57.375)
    )
    torch.testing.assert_close(head.prepare(given), wanted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(head(head.prepare(given)), expected, rtol=1e-3, atol=1e-4)


def test_room_for_prompts_in_other_contexts(tiny_clip):
    rooms = dict(coca=70, siglip=58, cut_tokens=27)
    for kind, room in rooms.items():
        head = CLIPTextHead(NAMES, random_clip(of_kind(tiny_clip, kind)))
        assert head.max_prompt_tokens == room
        prompts = torch.rand(2, room, 24, requires_grad=True)
        head.encode_prompts(prompts)[:, 0].sum().backward()
        assert (prompts.grad.abs().sum(-1) > 0).all()
        with pytest.raises(ValueError, match=f'at most {room} tokens'):
            head.encode_prompts(torch.rand(1, room + 1, 24))
        with pytest.raises(ValueError, match='prompts of 5 x 32 do not fit'):
            head.encode_prompts(torch.rand(1, 5, 32))


@pytest.mark.parametrize('kind', ['resnet', 'coca', 'siglip'])
def test_three_stages_with_other_clips(tiny_clip, make_samples, kind):
    """An epoch of two steps each; what trains gets gradients through CLIP, and moves."""
    torch.manual_seed(0)
    clip = dict(model=of_kind(tiny_clip, kind), pretrained=None)
    model = MODELS.build(dict(TINY_SEMPLES, clip=clip))
    with torch.no_grad():  # classes like images and prompts: no cosine is clamped
        images = model.image_head(torch.randn(4, 3, *model.image_head.input_size)).mean(0)
        prompts = model.prompt_learner.features(model.text_head)
        model.text_head.class_features.copy_(F.normalize(images + prompts, dim=-1))
    for stage in ('match', 'prompt', 'refine'):
        model.set_stage(STAGES[stage])
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        before = [parameter.detach().clone() for parameter in trained]
        optimizer = torch.optim.Adam(trained, lr=1e-3)
        for _ in range(2):
            images = torch.randn(4, 3, 64, 64)
            loss = sum(model.loss(images, make_samples(*[[1, 1, 1]] * 4)).values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            assert loss.isfinite() and any(p.grad.abs().sum() > 0 for p in trained)
        if stage == 'prompt':
            (prompts,) = trained
            assert (prompts.grad.abs().sum(-1) > 0).all()
        # Units of the tiny generator may be dead, by its random weights; the first is its head.
        assert not before[0].equal(trained[0])


TRANSFORMERS = """
import json, pathlib, types, torch

class AutoTokenizer:
    def __init__(self, words):
        self.words = words

    @classmethod
    def from_pretrained(cls, name, cache_dir, local_files_only, trust_remote_code):
        assert local_files_only and not trust_remote_code
        return cls(json.loads(pathlib.Path(name, 'tokenizer.json').read_text()))

    def ids(self, text):
        pieces = [[word] if word in self.words else [*word] for word in text.split()]
        return [self.words.index(piece) for word in pieces for piece in word]

    def __call__(self, texts, add_special_tokens=True, max_length=None, **options):
        rows = [self.ids(text) for text in texts]
        if add_special_tokens:
            rows = [row[: max_length - 1] for row in rows]
            rows = torch.tensor([row + [1] * (max_length - len(row)) for row in rows])
        return types.SimpleNamespace(input_ids=rows)

    batch_encode_plus = __call__  # of open_clip 3.1
"""


@pytest.fixture
def own_words(tiny_clip, monkeypatch, tmp_path):
    """A CLIP like SigLIP: no start token, padded with the end token, no punctuation; some words
    are several tokens."""
    (tmp_path / 'packages').mkdir()
    (tmp_path / 'packages/transformers.py').write_text(TRANSFORMERS)
    monkeypatch.delitem(sys.modules, 'transformers', raising=False)
    monkeypatch.syspath_prepend(tmp_path / 'packages')
    words = ['', '</s>', 'a', 'photo', 'of', *'cdgot', 'potted', 'plant', 'player']
    words += ['very', 'blue', 'sky']
    (tmp_path / 'tokenizer.json').write_text(json.dumps(words))
    (tmp_path / 'tokenizer_config.json').write_text('{}')
    config = of_kind(tiny_clip, 'siglip')
    config['text_cfg'] |= dict(
        vocab_size=len(words),
        context_length=12,
        hf_tokenizer_name=str(tmp_path),
        tokenizer_kwargs=dict(clean='canonicalize'),
    )
    return config, tmp_path


def test_tokenizers_of_hugging_face(own_words):
    clip = random_clip(own_words[0])
    row = torch.tensor([[2, 3, 4, 13, 14, 15, 1, 1, 1, 1, 1, 1]])
    with torch.no_grad():
        expected = clip.encode_text(row, normalize=True)
    head = CLIPTextHead(NAMES, clip)
    got = head.encode_sentences(['A photo of very blue sky.'])
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    got = head.encode_prompts(head.embed(head.token_ids('Very blue sky.'))[None])
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    assert head.max_prompt_tokens == 12 - 3 - 1
    head.encode_sentences(['sky ' * 11])
    with pytest.raises(ValueError, match='longer than the 12 tokens'):
        head.encode_sentences(['sky ' * 12])
    small = copy.deepcopy(own_words[0])
    small['text_cfg']['vocab_size'] = 12
    with pytest.raises(ValueError, match='ids up to 12, and .* 12: set clip.tokenizer'):
        CLIPTextHead(NAMES, build_clip(small, None))


def test_where_a_tokenizer_is_found(own_words):
    """In the folder that is given, or beside the weights."""
    config, folder = own_words
    torch.save(build_clip(config, None).state_dict(), folder / 'clip.pt')
    config['text_cfg']['hf_tokenizer_name'] = 'nobody/has-this'
    given = build_clip(config, None, tokenizer=str(folder))
    beside = build_clip(config, str(folder / 'clip.pt'))
    assert given.tokenizer(['sky'])[0, 0] == beside.tokenizer(['sky'])[0, 0] == 15


def test_a_tokenizer_that_is_missing_is_said_first(own_words, monkeypatch):
    config, folder = own_words
    (folder / 'tokenizer.json').unlink()
    with pytest.raises(ValueError, match='cannot be read .FileNotFoundError.* set clip.tokenizer'):
        build_clip(config, 'none.pt')
    for name in ('nobody/has-this', '/no/folder/here'):
        config['text_cfg']['hf_tokenizer_name'] = name
        monkeypatch.setattr(loading, 'reachable', lambda address: False)
        with pytest.raises(ValueError, match=f"'{name}', and it is not on disk, and https://"):
            build_clip(config, None)
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(ValueError, match='of clip.model needs .*: pip install .transformers'):
        build_clip(config, None)
    with pytest.raises(ValueError, match="ViT-B-16-SigLIP needs .*'timm/ViT-B-16-SigLIP'"):
        build_clip('ViT-B-16-SigLIP', None)
