"""Maps of prompts: equal to a direct computation, drawn side by side, refused where impossible."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from PIL import Image
from run_tool import run_tool

from semples_mmseg.figures import draw_prompts, prompt_maps
from semples_mmseg.figures.prompt_figure import PromptMaps
from semples_mmseg.models import CLIPImageHead, build_clip, patch_features, window_features


def direct(visual, pixels, dense):
    """Patch features of open_clip's own image encoder, step by step in float64."""
    patches = visual.conv1(pixels).flatten(2).transpose(1, 2)
    start = visual.class_embedding.expand(len(pixels), 1, -1)
    tokens = visual.ln_pre(torch.cat([start, patches], 1) + visual.positional_embedding)
    *earlier, last = visual.transformer.resblocks
    for block in earlier:
        tokens = block(tokens)
    if dense:
        attention, seen = last.attn, last.ln_1(tokens)
        weight, bias = attention.in_proj_weight.chunk(3)[2], attention.in_proj_bias.chunk(3)[2]
        tokens = tokens + attention.out_proj(F.linear(seen, weight, bias))
        tokens = tokens + last.mlp(last.ln_2(tokens))
    else:
        tokens = last(tokens)
    return F.normalize(visual.ln_post(tokens)[:, 1:] @ visual.proj, dim=-1)


@pytest.mark.parametrize('quick_gelu', [False, True])
@pytest.mark.parametrize('dense', [False, True])
def test_patch_features_are_those_of_a_direct_computation(tiny_clip, dense, quick_gelu):
    clip = build_clip(tiny_clip, pretrained=None, quick_gelu=quick_gelu)
    pixels = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = direct(clip.double().visual, pixels.double(), dense)
    found = patch_features(CLIPImageHead(clip.float()), pixels, dense)
    assert found.shape == (2, 2, 2, 16)
    torch.testing.assert_close(found.flatten(1, 2).double(), expected, atol=1e-5, rtol=0)


def test_maps_are_cosines_clamped_at_zero(tiny_semples):
    model = MODELS.build(tiny_semples).eval()
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    features = F.normalize(torch.randn(5, 16), dim=-1)
    found = prompt_maps(model, image, features)
    mean, std = model.data_preprocessor.mean, model.data_preprocessor.std
    rgb = torch.from_numpy(image).permute(2, 0, 1)[None]
    pixels = model.image_head.prepare((rgb - mean) / std)
    with torch.no_grad():
        cosines = patch_features(model.image_head, pixels)[0] @ features.T
        whole = model.image_head(pixels)[0] @ features.T
    assert (cosines < 0).any()
    np.testing.assert_allclose(found.maps, cosines.clamp(min=0).permute(2, 0, 1), atol=1e-6)
    np.testing.assert_allclose(found.scores, whole, atol=1e-6)


@pytest.mark.parametrize(
    'vision',
    [dict(layers=[1, 1, 1, 1], width=8), dict(timm_model_name='resnet10t', timm_pool='avg')],
    ids=['resnet', 'timm'],
)
def test_a_clip_without_patch_tokens_is_named(tiny_clip, vision):
    tiny_clip['vision_cfg'] = dict(image_size=64, **vision)
    head = CLIPImageHead(build_clip(tiny_clip, pretrained=None))
    with pytest.raises(ValueError, match='has no patch tokens .* with every CLIP: --windows'):
        patch_features(head, torch.zeros(1, 3, 64, 64))


def test_cells_have_the_mean_of_their_windows(tiny_clip):
    head = CLIPImageHead(build_clip(tiny_clip, pretrained=None))
    image = torch.randn(1, 3, 30, 60)
    found = window_features(head, image, grid=3, span=2)[0]
    with torch.no_grad():
        windows = [
            head(head.prepare(image[..., y : y + 20, x : x + 40]))[0]
            for y in (0, 10)
            for x in (0, 20)
        ]
    torch.testing.assert_close(found[0, 0], windows[0])
    torch.testing.assert_close(found[1, 2], (windows[1] + windows[3]) / 2)
    torch.testing.assert_close(found[1, 1], sum(windows) / 4)


def test_the_figure_has_the_nearest_and_farthest_manual_prompt():
    image = np.zeros((8, 8, 3), np.uint8)
    maps = np.eye(4, dtype=np.float32).reshape(4, 2, 2)  # map n is 1 in quarter n alone
    one = PromptMaps(maps, np.array([9, 0.3, 0.4, 0.2]))
    picture = draw_prompts([image], [one], ['tree', 'sea', 'rock'], cell=60)
    assert picture.width == 4 + 5 * 64
    pixels = np.asarray(picture)
    top = np.flatnonzero((pixels[:, 6] == 0).all(-1))[0]  # the image is black
    corners = [(top + 2, 2), (top + 2, 57), (top + 57, 2), (top + 57, 57)]
    red = [
        [int(pixels[y, 4 + 64 * column + x, 0] > 60) for y, x in corners] for column in range(1, 5)
    ]
    learned, highest, lowest, mean = red
    assert (learned, highest, lowest) == ([1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1])
    assert mean == [0, 1, 1, 1]
    assert draw_prompts([image], [one], cell=60).width == 4 + 2 * 64


@pytest.mark.parametrize('method', ['--dense', '--windows'])
def test_the_tool_draws_prompts(tiny_run, method):
    out = tiny_run / 'prompts.webp'
    run_tool(
        *('visualize.py', 'prompts', tiny_run / 'cfg.py', tiny_run / 'refine.pth', method),
        *('--images', tiny_run / 'a.png', '--tags', 'cat,dog', '--out', out),
    )
    assert Image.open(out).width == 4 + 6 * 164


@pytest.mark.parametrize(
    ('edit', 'message'),
    [
        (lambda state: state.pop('prompt_learner.prompts'), 'm.pth has no prompts'),
        (lambda state: state['prompt_learner.prompts'].uniform_(0, 1), 'that are not trained yet'),
    ],
)
def test_a_checkpoint_without_prompts_is_named(tiny_run, edit, message):
    content = torch.load(tiny_run / 'refine.pth', weights_only=True)
    edit(content['state_dict'])
    torch.save(content, tiny_run / 'm.pth')
    with pytest.raises(ValueError, match=message):
        run_tool(
            *('visualize.py', 'prompts', tiny_run / 'cfg.py', tiny_run / 'm.pth'),
            *('--images', tiny_run / 'a.png', '--tags', 'cat', '--out', tiny_run / 'x.png'),
        )
