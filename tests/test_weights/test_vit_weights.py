"""ImageNet transformers of timm, torch-hub and MMPretrain in the generator and the Segmenter."""

import re
from functools import partial
from pathlib import Path

import pytest
import timm
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmseg.registry import MODELS
from safetensors.torch import save_file
from torch import nn

import semples_mmseg.weights.hub as hub
import semples_mmseg.weights.loading as loading
from semples_mmseg.models import MultiTokenViT

ROOT = Path(__file__).parents[2]
ARCH = dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=96)


def timm_vit(img_size=64, classes=5, eps=1e-6, **options):
    torch.manual_seed(0)
    vit = timm.models.VisionTransformer(
        img_size=img_size,
        patch_size=16,
        embed_dim=24,
        depth=2,
        num_heads=3,
        num_classes=classes,
        norm_layer=partial(nn.LayerNorm, eps=eps),
        **options,
    ).eval()
    for parameter in vit.parameters():
        nn.init.normal_(parameter, std=0.2)
    return vit


def encoder(checkpoint, arch=ARCH, **changes):
    """MMPretrain's transformer, as the Segmenter has it."""
    config = dict(type='mmpretrain.VisionTransformer', arch=arch, img_size=64, patch_size=16)
    init = dict(type='Pretrained', checkpoint=f'weights:{checkpoint}')
    vit = MODELS.build(config | dict(out_type='raw', init_cfg=init) | changes)
    vit.init_weights()
    vit.eval()  # returns nothing in MMPretrain
    return vit


def generator_backbone(checkpoint, classes=3, **changes):
    init = dict(type='Pretrained', checkpoint=f'weights:{checkpoint}')
    options = dict(img_size=64, drop_path_rate=0.0, init_cfg=init) | changes
    vit = MultiTokenViT(classes, ARCH, **options)
    vit.init_weights()
    vit.eval()  # returns nothing in MMPretrain
    return vit


@pytest.fixture
def told(monkeypatch):
    """What is logged about weights."""
    lines = []
    monkeypatch.setattr(loading, 'print_log', lambda text, *_: lines.append(text))
    return lines


def save_torch_hub(vit, path):
    torch.save(dict(model=vit.state_dict()), path)


def save_timm(vit, path):
    save_file(vit.state_dict(), path)


def save_mmpretrain(vit, path):
    """As MMPretrain saves a classifier, named here by hand."""
    parts = {
        'blocks': 'layers', 'patch_embed.proj': 'patch_embed.projection', 'norm.': 'ln1.',
        'norm1': 'ln1', 'norm2': 'ln2', 'mlp.fc1': 'ffn.layers.0.0', 'mlp.fc2': 'ffn.layers.1',
    }  # fmt: skip
    state = dict(vit.state_dict())
    for theirs, ours in parts.items():
        state = {key.replace(theirs, ours): value for key, value in state.items()}
    assert {'layers.1.ffn.layers.0.0.bias', 'layers.0.ln2.weight', 'ln1.bias'} < state.keys()
    state = {
        f'head.layers.{key}' if key.startswith('head') else f'backbone.{key}': value
        for key, value in state.items()
    }
    torch.save(dict(state_dict=state, meta=dict(epoch=300)), path)


FILES = {
    'deit.pth': save_torch_hub,
    'model.safetensors': save_timm,
    'deit-small_mmpretrain.pth': save_mmpretrain,
}


@pytest.mark.parametrize('name', FILES)
def test_the_segmenters_encoder_gives_timms_features(tmp_path, told, name):
    theirs = timm_vit()
    FILES[name](theirs, tmp_path / name)
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(
        encoder(tmp_path / name)(images)[0], theirs.forward_features(images), rtol=1e-5, atol=1e-5
    )
    head = 'head.layers.head' if 'mmpretrain' in name else 'head'
    assert len(told) == 1 and str(tmp_path / name) in told[0]
    assert f'30 of 32 tensors used; unused: {head}.bias, {head}.weight; missing: none' in told[0]


@pytest.mark.parametrize('name', FILES)
@pytest.mark.parametrize('img_size', [64, 96])
def test_the_generators_backbone_repeats_the_class_token(tmp_path, told, name, img_size):
    """Against timm's own blocks with K class tokens and, for another grid, plain bicubic."""
    theirs = timm_vit(img_size, classes=21)
    FILES[name](theirs, tmp_path / name)
    images = torch.randn(2, 3, 64, 64)
    got = generator_backbone(tmp_path / name)(images)[0]

    side = img_size // 16
    plane = theirs.pos_embed[:, 1:].reshape(1, side, side, 24).permute(0, 3, 1, 2)
    if side != 4:
        plane = F.interpolate(plane, (4, 4), mode='bicubic', align_corners=False)
    positions = torch.cat(
        [theirs.pos_embed[:, :1].expand(-1, 3, -1), plane.flatten(2).transpose(1, 2)], 1
    )
    patches = theirs.patch_embed.proj(images).flatten(2).transpose(1, 2)
    tokens = torch.cat([theirs.cls_token.expand(2, 3, -1), patches], 1) + positions
    torch.testing.assert_close(got, theirs.blocks(tokens), rtol=1e-5, atol=1e-5)
    assert '28 of 32 tensors used' in told[0] and 'missing: none' in told[0]


def test_the_segmenter_config_reads_torch_hubs_file(tmp_path):
    """Positions go from 14 x 14 to the crop's 30 x 30 bilinearly; eps is the config's."""
    config = Config.fromfile(ROOT / 'configs/segmenter/segmenter_deit-s_voc12.py').model.backbone
    assert config.init_cfg.checkpoint.startswith('weights:')
    save_torch_hub(source := timm_vit(224), tmp_path / 'deit.pth')
    config.update(arch=ARCH)
    config.init_cfg.checkpoint = f'weights:{tmp_path}/deit.pth'
    ours = MODELS.build(config)
    ours.init_weights()
    ours.eval()

    theirs = timm_vit(480, eps=1e-5)
    plane = source.pos_embed[:, 1:].reshape(1, 14, 14, 24).permute(0, 3, 1, 2)
    plane = F.interpolate(plane, (30, 30), mode='bilinear', align_corners=False)
    state = source.state_dict()
    state['pos_embed'] = torch.cat([source.pos_embed[:, :1], plane.flatten(2).transpose(1, 2)], 1)
    theirs.load_state_dict(state)
    images = torch.randn(1, 3, 480, 480)
    expected = theirs.forward_features(images)[:, 1:].transpose(1, 2).reshape(1, 24, 30, 30)
    torch.testing.assert_close(ours(images)[0], expected, rtol=1e-5, atol=1e-5)


def test_what_does_not_fit_is_refused(tmp_path):
    save_torch_hub(timm_vit(), tmp_path / 'deit.pth')
    file = re.escape(f'{tmp_path}/deit.pth')
    wide = dict(ARCH, embed_dims=48)
    with pytest.raises(ValueError, match=rf'(?s){file}.*does not fit VisionTransformer: .*width'):
        encoder(tmp_path / 'deit.pth', arch=wide)
    with pytest.raises(ValueError, match=rf'(?s){file}.*projection.weight is .*16, 16.* there and'):
        generator_backbone(tmp_path / 'deit.pth', patch_size=8)
    torch.save(dict(fc=torch.ones(2, 2)), tmp_path / 'other.pth')
    with pytest.raises(ValueError, match='other.pth .* has no tensor of MultiTokenViT; .* are fc'):
        generator_backbone(tmp_path / 'other.pth')
    # Positions of a grid that is no square cannot be resized.
    state = timm_vit().state_dict()
    state['pos_embed'] = state['pos_embed'][:, :13]
    torch.save(state, tmp_path / 'oblong.pth')
    with pytest.raises(ValueError, match='(?s)oblong.pth .*does not fit MultiTokenViT.*pos_embed'):
        generator_backbone(tmp_path / 'oblong.pth')


ROTARY = dict(num_reg_tokens=4, use_abs_pos_emb=False, use_rot_pos_emb=True, init_values=0.1)
OTHERS = dict(
    deit3=(dict(no_embed_class=True), 'no position of the class token'),
    dinov2_registers=(dict(reg_tokens=4, no_embed_class=True), 'register tokens, no position'),
    dinov2_without_layer_scale=(dict(init_values=0.1), 'attn.gamma1.*set layer_scale'),
    distilled=(dict(reg_tokens=0), 'a distillation token'),
    clip=(dict(pre_norm=True), 'a norm before its blocks'),
    siglip=(dict(class_token=False, global_pool='avg'), 'no class token'),
    dinov3=(ROTARY, 'register tokens, rotary or relative positions'),
    eva02=(dict(use_rot_pos_emb=True, qkv_fused=False), 'rotary .* attn.q_proj'),
)


@pytest.mark.parametrize('name', OTHERS)
@pytest.mark.parametrize('load', [encoder, generator_backbone])
def test_other_transformers_are_told_apart(tmp_path, name, load):
    options, words = OTHERS[name]
    size = dict(img_size=64, patch_size=16, embed_dim=24, depth=2, num_heads=3)
    is_eva = 'use_rot_pos_emb' in options
    state = (timm.models.eva.Eva(**size, **options) if is_eva else timm_vit(**options)).state_dict()
    if name == 'distilled':
        state['dist_token'] = torch.zeros(1, 1, 24)
    save_file(state, tmp_path / f'{name}.safetensors')
    with pytest.raises(ValueError, match=f'{name}.safetensors .* it has .*{words}.*timm-vit.py'):
        load(tmp_path / f'{name}.safetensors')


def test_a_licence_that_may_forbid_commercial_use_is_told(monkeypatch):
    lines = []
    monkeypatch.setattr(hub, 'kept_file', lambda *_: Path('kept'))
    monkeypatch.setattr(hub, 'print_log', lambda text, *_: lines.append(text))
    hub.timm_file('vit_base_patch16_224.mae')
    hub.timm_file('vit_base_patch16_224.mae')
    hub.timm_file('deit_small_patch16_224.fb_in1k')
    assert (
        len(lines) == 1
        and 'vit_base_patch16_224.mae of timm have the licence cc-by-nc-4.0' in lines[0]
    )


def test_dinov2_has_the_scales_of_its_branches(tmp_path):
    """timm's and torch-hub's names; with one class the tokens are those of timm."""
    vit = timm_vit(init_values=0.1)
    save_file(vit.state_dict(), tmp_path / 'dinov2.safetensors')
    vit.norm = nn.Identity()  # not applied in a generator
    backbone = generator_backbone(tmp_path / 'dinov2.safetensors', classes=1, layer_scale=1e-5)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        tokens, _, _ = backbone(images)
        torch.testing.assert_close(tokens, vit.forward_features(images), rtol=1e-3, atol=1e-4)
