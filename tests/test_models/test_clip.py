"""CLIP heads and prompts against open_clip itself; loading of every layout of weights."""

import copy
import json
import socket
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
from semples_mmseg.models.clip import downloads, loading
from semples_mmseg.models.clip.text_head import A_PHOTO_OF, END, FULL_STOP, START
from semples_mmseg.models.stages import STAGES

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


def text_head(tiny_clip, path, names=NAMES, clip=(), **options):
    return CLIPTextHead(names, clip=dict(model=tiny_clip, pretrained=path, **dict(clip)), **options)


def test_sentences_equal_encode_text(tiny_clip, weights):
    clip, path = weights
    head = text_head(tiny_clip, path)
    tokens = open_clip.SimpleTokenizer()(SENTENCES)
    expected = clip.encode_text(tokens, normalize=True)
    torch.testing.assert_close(head.encode_sentences(SENTENCES), expected, rtol=1e-4, atol=1e-5)


def test_class_features_are_those_of_the_template(tiny_clip, weights):
    clip, path = weights
    head = text_head(tiny_clip, path)
    tokens = open_clip.SimpleTokenizer()([f'a photo of {name}.' for name in NAMES])
    expected = clip.encode_text(tokens, normalize=True)
    torch.testing.assert_close(head.class_features, expected, rtol=1e-4, atol=1e-5)


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
    assert (START, END, FULL_STOP, A_PHOTO_OF) == (49406, 49407, 13, (320, 1125, 539))
    x = clip.token_embedding(row) + clip.positional_embedding
    x = clip.ln_final(clip.transformer(x, attn_mask=clip.attn_mask))
    expected = F.normalize(x[:, 5 + 3] @ clip.text_projection, dim=-1)
    torch.testing.assert_close(head.encode_prompts(prompts), expected, rtol=1e-4, atol=1e-5)


def test_prompts_of_real_words_give_the_sentence(tiny_clip, weights):
    """The words "a very blue sky ." with the in-word full stop, through open_clip's own path."""
    clip, path = weights
    head = text_head(tiny_clip, path)
    words = head.token_ids('very blue sky')
    row = [START, *A_PHOTO_OF, *words, FULL_STOP, END]
    tokens = torch.tensor([row + [0] * (77 - len(row))])
    expected = clip.encode_text(tokens, normalize=True)
    got = head.encode_prompts(head.embed(words)[None])
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_prompt_gradients_reach_the_prompts_alone(tiny_clip, weights):
    head = text_head(tiny_clip, weights[1])
    prompts = torch.rand(2, 5, 24, requires_grad=True)
    head.encode_prompts(prompts)[:, 0].sum().backward()
    assert prompts.grad.abs().sum() > 0
    assert not list(head.parameters()) and 'class_features' not in head.state_dict()


def test_prompts_too_long_or_of_another_width(tiny_clip, weights):
    head = text_head(tiny_clip, weights[1])
    assert head.max_prompt_tokens == 71
    assert torch.isfinite(head.encode_prompts(torch.rand(1, 71, 24))).all()
    with pytest.raises(ValueError, match='at most 71 tokens of width 24'):
        head.encode_prompts(torch.rand(1, 72, 24))
    with pytest.raises(ValueError, match='prompts of 5 x 32 do not fit'):
        head.encode_prompts(torch.rand(1, 5, 32))


def test_text_head_errors(tiny_clip):
    with pytest.raises(ValueError, match='class_names must be a list of names'):
        text_head(tiny_clip, None, names=[])
    with pytest.raises(ValueError, match='needs {} where'):
        text_head(tiny_clip, None, template='a photo')
    with pytest.raises(ValueError, match='tokens, CLIP takes 77'):
        text_head(tiny_clip, None, names=['very ' * 80])
    config = dict(tiny_clip, custom_text=True)
    other = dict(tiny_clip, text_cfg=dict(tiny_clip['text_cfg'], vocab_size=32000))
    with pytest.raises(
        ValueError, match='byte-pair vocabulary of CLIP, 49408 entries, and this .*32000'
    ):
        text_head(other, None)
    for refused in (dict(embed_cls=True), dict(no_causal_mask=True, pool_type='first')):
        config['text_cfg'] = dict(tiny_clip['text_cfg'], **refused)
        with pytest.raises(ValueError, match='causal transformer'):
            text_head(config, None)


def test_text_and_image_of_the_custom_text_class(tiny_clip, weights):
    """open_clip's other model class holds the same weights under other names."""
    clip, path = weights
    config = dict(tiny_clip, custom_text=True)
    torch.testing.assert_close(
        text_head(config, path).class_features, text_head(tiny_clip, path).class_features
    )


@pytest.mark.parametrize(
    ('normalization', 'mean', 'std'),
    [
        ('clip', OPENAI_DATASET_MEAN, OPENAI_DATASET_STD),
        ('input', (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ],
)
def test_image_head_normalises(tiny_clip, weights, normalization, mean, std):
    clip, path = weights
    head = CLIPImageHead(dict(model=tiny_clip, pretrained=path), normalization=normalization)
    pixels = torch.rand(2, 3, 32, 32) * 255
    image_net = (pixels - head_mean((123.675, 116.28, 103.53))) / head_mean((58.395, 57.12, 57.375))
    wanted = (pixels / 255 - head_mean(mean)) / head_mean(std)
    prepared = head.prepare(image_net)
    torch.testing.assert_close(prepared, wanted, rtol=1e-4, atol=1e-4)
    expected = clip.encode_image(wanted, normalize=True)
    torch.testing.assert_close(head(prepared), expected, rtol=1e-3, atol=1e-4)


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
    assert head.double()(prepared.detach().double()).dtype == torch.float32
    with pytest.raises(ValueError, match="one of .*'clip', 'input'"):
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


@pytest.mark.parametrize('resnet', [False, True])
def test_rounded_weights_compute_what_autocast_computes(tiny_clip, weights, resnet):
    """Bit for bit: features, and gradients with respect to pixels and prompts."""
    clip = dict(model=tiny_clip, pretrained=weights[1])
    if resnet:
        torch.manual_seed(0)
        vision = dict(image_size=32, layers=(1, 1, 1, 1), width=8, head_width=8)
        clip = build_clip(dict(tiny_clip, vision_cfg=vision), None)
    plain = CLIPImageHead(copy.deepcopy(clip))
    rounded = CLIPImageHead(copy.deepcopy(clip), dtype='bfloat16')
    images = torch.randn(5, 3, 32, 32, requires_grad=True)
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


def test_folded_quick_gelu_computes_the_same_and_keeps_less(tiny_clip, weights):
    """Features, gradients and prompts against open_clip's own QuickGELU."""
    path = weights[1]
    clip = build_clip(tiny_clip, path, quick_gelu=True).requires_grad_(False)
    head = CLIPImageHead(dict(model=tiny_clip, pretrained=path, quick_gelu=True))
    images = torch.randn(2, 3, 32, 32, requires_grad=True)
    aim = torch.randn(2, 16)
    plain = lambda: F.normalize(clip.encode_image(images), dim=-1)  # noqa: E731
    torch.testing.assert_close(head(images), plain(), rtol=1e-4, atol=1e-6)
    (wanted,) = torch.autograd.grad((plain() * aim).sum(), images)
    (got,) = torch.autograd.grad((head(images) * aim).sum(), images)
    torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-6)
    assert 'QuickGELU' in repr(clip) and 'QuickGELU' not in repr(head.encoder.network)
    folded = saved_bytes(head.encoder.network, lambda: head(images))
    assert folded < 0.9 * saved_bytes(clip, plain)

    text = text_head(tiny_clip, path, clip=dict(quick_gelu=True))
    assert 'QuickGELU' not in repr(text.encoder.network)
    expected = clip.encode_text(open_clip.SimpleTokenizer()(SENTENCES), normalize=True)
    torch.testing.assert_close(text.encode_sentences(SENTENCES), expected, rtol=1e-4, atol=1e-5)


def test_resnet_clip():
    config = dict(
        embed_dim=16,
        vision_cfg=dict(image_size=32, layers=[1, 1, 1, 1], width=8, head_width=16),
        text_cfg=dict(context_length=77, vocab_size=49408, width=16, heads=2, layers=1),
    )
    head = CLIPImageHead(dict(model=config, pretrained=None))
    assert head(torch.randn(2, 3, 32, 32)).norm(dim=-1).tolist() == pytest.approx([1, 1])


def test_both_heads_share_a_clip_that_is_read_once(tiny_clip, weights, monkeypatch):
    clip, path = weights
    reads = []
    read = loading.read_state_dict
    monkeypatch.setattr(loading, 'read_state_dict', lambda p: reads.append(p) or read(p))
    model = MODELS.build(dict(TINY_SEMPLES, clip=dict(model=tiny_clip, pretrained=path)))
    assert len(reads) == 1
    images = torch.randn(2, 3, 32, 32)
    expected = clip.encode_image(images, normalize=True)
    torch.testing.assert_close(model.image_head(images), expected, rtol=1e-3, atol=1e-4)
    expected = clip.encode_text(open_clip.SimpleTokenizer()(SENTENCES), normalize=True)
    got = model.text_head.encode_sentences(SENTENCES)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_weights_of_every_layout_give_the_same_features(tiny_clip, weights, tmp_path):
    clip, path = weights
    images = torch.randn(1, 3, 32, 32)
    state = clip.state_dict()
    torch.save(dict(state_dict={f'module.{k}': v for k, v in state.items()}), tmp_path / 'a.pt')
    (tmp_path / 'clip.json').write_text(json.dumps(tiny_clip))
    for model, file in ((tiny_clip, path), (str(tmp_path / 'clip.json'), tmp_path / 'a.pt')):
        got = build_clip(model, str(file))
        torch.testing.assert_close(got.encode_image(images), clip.encode_image(images))


def test_openai_files_switch_quick_gelu_on(tiny_clip, weights, tmp_path):
    clip, path = weights
    scalars = dict(input_resolution=32, context_length=77, vocab_size=49408)
    state = {key: value.half() for key, value in clip.state_dict().items()}
    state |= {key: torch.tensor(value) for key, value in scalars.items()}
    torch.save(state, tmp_path / 'openai.pt')
    openai = build_clip(tiny_clip, str(tmp_path / 'openai.pt'))
    assert 'QuickGELU' in repr(openai) and 'QuickGELU' not in repr(build_clip(tiny_clip, path))
    plain = build_clip(tiny_clip, str(tmp_path / 'openai.pt'), quick_gelu=False)
    assert 'QuickGELU' not in repr(plain)
    images = torch.randn(1, 3, 32, 32)
    assert not torch.allclose(openai.encode_image(images), plain.encode_image(images), atol=1e-4)
    torch.testing.assert_close(
        plain.encode_image(images), clip.encode_image(images), rtol=1e-2, atol=1e-2
    )


def test_missing_and_unfit_weights(tiny_clip, weights, tmp_path):
    with pytest.raises(FileNotFoundError, match='no weights at .*ViT-B-32.pt: put the file there'):
        build_clip('ViT-B-32', str(tmp_path / 'ViT-B-32.pt'))
    with pytest.raises(ValueError, match="unknown CLIP model 'ViT-B-23'"):
        build_clip('ViT-B-23', None)
    with pytest.raises(FileNotFoundError, match="neither a file nor a tag of 'ViT-B-32'"):
        build_clip('ViT-B-32', 'opnai')

    wide = json.loads(json.dumps(tiny_clip))
    wide['text_cfg']['width'] = 32
    with pytest.raises(ValueError, match='do not fit the model'):
        build_clip(wide, weights[1])


@pytest.fixture
def empty_caches(monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setattr(huggingface_hub, 'try_to_load_from_cache', lambda *_: None)


def test_no_network_is_said_within_seconds(empty_caches, monkeypatch):
    """A server that never answers is as good as none."""
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    with socket.create_server(('127.0.0.1', 0)) as server:
        address = f'http://127.0.0.1:{server.getsockname()[1]}'
        monkeypatch.setattr(huggingface_hub.constants, 'ENDPOINT', address)
        begin = time.monotonic()
        with pytest.raises(FileNotFoundError, match=f'(?s){address}.*set clip.pretrained'):
            build_clip('ViT-B-32', 'openai')
        assert time.monotonic() - begin < 6


def test_a_download_that_fails_says_why(empty_caches, monkeypatch):
    def fail(known):
        raise ConnectionError('reset by peer')

    monkeypatch.setattr(downloads, 'reachable', lambda address: True)
    monkeypatch.setattr(open_clip.pretrained, 'download_pretrained', fail)
    with pytest.raises(FileNotFoundError, match='(?s)reset by peer.*set clip.pretrained'):
        build_clip('ViT-B-32', 'openai')


def test_cached_files_need_no_network(monkeypatch, tmp_path):
    def fail(*_):
        raise AssertionError('asked the network')

    monkeypatch.setattr(downloads, 'reachable', fail)
    kept = tmp_path / 'model.safetensors'
    monkeypatch.setattr(huggingface_hub, 'try_to_load_from_cache', lambda *_: str(kept))
    assert downloads.find_tag('ViT-B-32', 'openai') == (kept, True)


def test_prompt_learner_starts_uniform_or_from_words(tiny_clip, weights):
    torch.manual_seed(0)
    prompts = PromptLearner(5, 30, 64)().detach()
    assert prompts.shape == (5, 30, 64)
    assert prompts.min() >= 0 and prompts.max() < 1
    assert prompts.mean().item() == pytest.approx(0.5, abs=0.02)
    head = text_head(tiny_clip, weights[1])
    learner = PromptLearner(3, 4, 24, init_words=['water', 'the sky', 'grass'])
    learner.start_from_words(head)
    the, sky = head.embed(head.token_ids('the sky'))
    torch.testing.assert_close(learner()[1], torch.stack([the, sky, the, sky]))
    with pytest.raises(ValueError, match='5 tokens for prompts of 4'):
        PromptLearner(1, 4, 24, init_words=['one two three four five']).start_from_words(head)
    with pytest.raises(ValueError, match='2 texts for 3 classes'):
        PromptLearner(3, 4, 24, init_words=['a', 'b'])
    with pytest.raises(ValueError, match='positive sizes'):
        PromptLearner(3, 0, 24)


SIGLIP = dict(no_causal_mask=True, pool_type='last', proj_bias=True, context_length=64)


def siglip(tiny_clip):
    text = dict(tiny_clip['text_cfg'], **SIGLIP)
    means = dict(mean=(0.5, 0.4, 0.3), std=(0.5, 0.6, 0.7))
    return dict(tiny_clip, custom_text=True, text_cfg=text, preprocess_cfg=means)


def test_text_towers_like_siglips(tiny_clip):
    """Bidirectional, 64 tokens, read at the last position, which is padding."""
    torch.manual_seed(0)
    clip = build_clip(siglip(tiny_clip), None)
    tokens = open_clip.SimpleTokenizer(context_length=64)(SENTENCES)
    expected = clip.encode_text(tokens, normalize=True).detach()
    head = CLIPTextHead(NAMES, clip)
    got = head.encode_sentences(SENTENCES)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    assert head.max_prompt_tokens == 58 and len(got[0]) == 16
    prompts = torch.rand(2, 58, 24, requires_grad=True)
    head.encode_prompts(prompts)[:, 0].sum().backward()
    assert (prompts.grad.abs().sum(-1) > 0).all()
    words = head.token_ids('very blue sky')
    row = [START, *A_PHOTO_OF, *words, FULL_STOP, END]
    plain = build_clip(siglip(tiny_clip), None)
    head = CLIPTextHead(NAMES, copy.deepcopy(plain))
    expected = plain.encode_text(torch.tensor([row + [0] * (64 - len(row))]), normalize=True)
    got = head.encode_prompts(head.embed(words)[None])
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_images_get_the_mean_and_deviation_of_the_model(tiny_clip):
    head = CLIPImageHead(dict(model=siglip(tiny_clip), pretrained=None))
    pixels = torch.rand(1, 3, 32, 32)
    given = (pixels * 255 - head_mean((123.675, 116.28, 103.53))) / head_mean(
        (58.395, 57.12, 57.375)
    )
    wanted = (pixels - head_mean((0.5, 0.4, 0.3))) / head_mean((0.5, 0.6, 0.7))
    torch.testing.assert_close(head.prepare(given), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('kind', ['vit', 'resnet', 'siglip'])
def test_three_stages_with_clips_of_other_kinds(tiny_clip, make_samples, kind):
    config = dict(tiny_clip)
    if kind == 'siglip':
        config = siglip(tiny_clip)
    if kind == 'resnet':
        vision = dict(image_size=32, layers=[1, 1, 1, 1], width=8, head_width=16)
        config['vision_cfg'] = vision
    model = MODELS.build(dict(TINY_SEMPLES, clip=dict(model=config, pretrained=None)))
    model.init_weights()
    model.mask_generator.head.weight.data *= 50
    for stage in ('match', 'prompt', 'refine'):
        model.set_stage(STAGES[stage])
        images = torch.randn(4, 3, 64, 64)  # of some pairs the cosine is above the clamp
        loss = sum(model.loss(images, make_samples(*[[1, 1, 1]] * 4)).values())
        loss.backward()
        trained = [p for p in model.parameters() if p.requires_grad]
        assert loss.isfinite() and any(p.grad.abs().sum() > 0 for p in trained)
