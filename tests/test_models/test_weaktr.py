"""Attention fusion and the three CAMs against the formulas in float64."""

import pytest
import torch
from mmseg.registry import MODELS

from semples_mmseg.models import AdaptiveAttentionFusion
from semples_mmseg.models.mask_generators import multi_token_vit
from semples_mmseg.models.mask_generators.multi_token_vit import BlockTrace

HEADS, BLOCKS, DIMS = 3, 2, 8


def traces(batch=2, tokens=7, requires_grad=False):
    made = []
    for _ in range(BLOCKS):
        attention = torch.rand(batch, HEADS, tokens, tokens, dtype=torch.float64).softmax(-1)
        features = torch.randn(batch, tokens, HEADS * DIMS, dtype=torch.float64)
        made.append(BlockTrace(*(x.requires_grad_(requires_grad) for x in (attention, features))))
    return made


def reference_weights(fusion, made, pooling):
    """(B, 72): channel j -> group j mod heads, position j div heads; order head, then block."""
    rows = []
    for head in range(HEADS):
        for block in range(BLOCKS):
            features = made[block].features
            group = torch.stack(
                [features[..., j] for j in range(HEADS * DIMS) if j % HEADS == head], -1
            )
            pooled = group.max(1).values if pooling == 'max' else group.mean(1)
            first, second = fusion.attn_feat_ffn
            hidden = pooled @ first.weight.T + first.bias
            rows.append(hidden @ second.weight.T + second.bias)
    scores = torch.cat(rows, 1)
    down, up = fusion.attn_head_ffn[0].weight, fusion.attn_head_ffn[2].weight
    return torch.sigmoid(torch.relu(scores @ down.T) @ up.T)


@pytest.mark.parametrize('pooling', ['max', 'mean'])
def test_fusion_value(pooling):
    fusion = AdaptiveAttentionFusion(HEADS, BLOCKS, DIMS, 2, 4, pooling).double()
    made = traces()
    weights = reference_weights(fusion, made, pooling)
    expected = torch.zeros_like(made[0].attention[:, 0])
    for head in range(HEADS):
        for block in range(BLOCKS):
            w = weights[:, head * BLOCKS + block]
            expected += w[:, None, None] * made[block].attention[:, head]
    expected /= HEADS * BLOCKS
    torch.testing.assert_close(fusion(made), expected)
    torch.testing.assert_close(fusion(made, columns=slice(3, None)), expected[..., 3:])


def test_fusion_trains_and_the_backbone_gets_no_gradient_through_it():
    fusion = AdaptiveAttentionFusion(HEADS, BLOCKS, DIMS, 2, 4).double()
    made = traces(requires_grad=True)
    fusion(made)[..., 0].square().sum().backward()
    assert all(t.attention.grad is None and t.features.grad is None for t in made)
    assert all(p.grad.abs().sum() > 0 for p in fusion.attn_head_ffn.parameters())


def test_fusion_errors():
    with pytest.raises(ValueError, match="'max' or 'mean', got 'sum'"):
        AdaptiveAttentionFusion(3, 2, 8, 2, 2, 'sum')
    with pytest.raises(ValueError, match='reduction is at most 6'):
        AdaptiveAttentionFusion(3, 2, 8, 7, 2)


@pytest.mark.parametrize('detach', [False, True])
def test_cams_and_predictions(tiny_generator, detach):
    generator = MODELS.build(tiny_generator).double().eval()
    generator.init_weights()
    images = torch.randn(2, 3, 48, 64, dtype=torch.float64)
    output = generator(images, detach_coarse=detach)

    tokens, (h, w), made = generator.backbone(images)
    assert (h, w) == (3, 4)
    fused = generator.fusion(made)
    patches = tokens[:, 3:].transpose(1, 2).reshape(2, 24, h, w)
    coarse = torch.nn.functional.conv2d(
        patches, generator.head.weight, generator.head.bias, padding=1
    )
    seeds = fused[:, :3, 3:] * coarse.clamp(min=0).flatten(2)
    fine = torch.einsum('bqp,bkp->bkq', fused[:, 3:, 3:], seeds)
    torch.testing.assert_close(output.cams, fine.reshape(2, 3, h, w))
    torch.testing.assert_close(output.affinity, fused[:, 3:, 3:])
    torch.testing.assert_close(output.seed, seeds.reshape(2, 3, h, w))
    torch.testing.assert_close(output.coarse, coarse.clamp(min=0))
    torch.testing.assert_close(output.logits['token'], tokens[:, :3].mean(-1))
    torch.testing.assert_close(output.logits['coarse'], coarse.mean((2, 3)))
    torch.testing.assert_close(output.logits['fine'], fine.mean(-1))


@pytest.mark.parametrize('classes', [3, 19])
@pytest.mark.parametrize('frozen', [False, True])
def test_without_gradients_the_same_comes_out_and_no_map_is_formed(
    tiny_generator, monkeypatch, classes, frozen
):
    """19 classes are more than a head has channels, so that they go in parts."""
    generator = MODELS.build(dict(tiny_generator, num_classes=classes)).double().eval()
    generator.init_weights()
    images = torch.randn(2, 3, 48, 64, dtype=torch.float64)
    expected = generator(images)
    formed = []

    def attention_map(query, key):
        formed.append(query.shape[2])
        return original(query, key)

    original = multi_token_vit._attention_map
    monkeypatch.setattr(multi_token_vit, '_attention_map', attention_map)
    generator.requires_grad_(not frozen)
    with torch.set_grad_enabled(frozen):
        output = generator(images)
    assert set(formed) == {classes} and len(formed) == generator.backbone.num_layers
    assert output.affinity is None
    for name in ('cams', 'seed', 'coarse'):
        torch.testing.assert_close(getattr(output, name), getattr(expected, name))
    for name, logits in expected.logits.items():
        torch.testing.assert_close(output.logits[name], logits)


def test_masks_can_be_made_of_an_earlier_cam(tiny_generator):
    generator = MODELS.build(dict(tiny_generator, cam='seed')).eval()
    for name in ('seed', 'coarse'):
        generator.cam = name
        output = generator(torch.randn(1, 3, 64, 64))
        assert output.cams.equal(getattr(output, name))
    with pytest.raises(ValueError, match="mask_generator.cam must be .* got 'patch'"):
        MODELS.build(dict(tiny_generator, cam='patch'))


def test_stage_0_gradients(tiny_generator):
    """Token loss -> backbone; coarse loss -> head and backbone; fine loss -> fusion only."""
    generator = MODELS.build(tiny_generator)
    generator.init_weights()
    weight = generator.fusion.attn_head_ffn[0].weight.data
    weight[0], weight[1] = 1, -1  # one unit fires whatever its input; random ones may all be dead
    reached = {}
    for name in ('token', 'coarse', 'fine'):
        generator.zero_grad()
        output = generator(torch.randn(2, 3, 64, 64), detach_coarse=True)
        output.logits[name].square().sum().backward()
        reached[name] = {
            key.split('.')[0]
            for key, p in generator.named_parameters()
            if p.grad is not None and p.grad.abs().sum() > 0
        }
    assert reached == dict(token={'backbone'}, coarse={'backbone', 'head'}, fine={'fusion'})
    generator.zero_grad()
    generator.backbone.requires_grad_(False)
    generator(torch.randn(1, 3, 64, 64)).cams.sum().backward()
    assert generator.head.weight.grad.abs().sum() > 0
    assert generator.fusion.attn_head_ffn[2].weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in generator.backbone.parameters())
