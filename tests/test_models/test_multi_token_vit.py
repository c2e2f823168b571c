"""The backbone of WeakTr against MMPretrain's own and against the formulas."""

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.models import VisionTransformer
from mmseg.registry import MODELS

ARCH = dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)


def build(classes=3, **changes):
    options = dict(arch=ARCH, img_size=64, patch_size=16, drop_path_rate=0.0)
    vit = MODELS.build(dict(type='MultiTokenViT', num_cls_tokens=classes, **options | changes))
    vit.init_weights()
    vit.eval()
    return vit


def test_one_class_token_equals_mmpretrain():
    """With K = 1 the tokens are those of MMPretrain's transformer without its final norm."""
    ours = build(classes=1)
    theirs = VisionTransformer(
        arch=ARCH, img_size=64, patch_size=16, final_norm=False, out_type='raw'
    )
    theirs.eval()
    theirs.load_state_dict(ours.state_dict())
    images = torch.randn(2, 3, 64, 64)
    tokens, grid, _ = ours(images)
    assert grid == (4, 4)
    torch.testing.assert_close(tokens, theirs(images)[0], rtol=1e-5, atol=1e-5)


def test_traces_are_attention_and_branch_output():
    vit = build().double()
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    _, _, traces = vit(images)
    block = vit.layers[0]
    patches, grid = vit.patch_embed(images)
    tokens = torch.cat([vit.cls_token.expand(2, -1, -1), patches], 1) + vit.pos_embed
    q, k, v = block.attn.qkv(block.ln1(tokens)).chunk(3, -1)
    for head in range(3):
        part = slice(8 * head, 8 * head + 8)
        scores = q[..., part] @ k[..., part].transpose(1, 2) / 8**0.5
        torch.testing.assert_close(traces[0].attention[:, head], scores.softmax(-1))
    mixed = torch.cat([traces[0].attention[:, h] @ v[..., 8 * h : 8 * h + 8] for h in range(3)], -1)
    torch.testing.assert_close(traces[0].features, block.attn.proj(mixed))


def test_autocast_hands_out_the_attention_that_was_used():
    """Halves, once: what reads it in float32 would only turn it into halves again."""
    vit, images = build(), torch.randn(1, 3, 64, 64)
    exact = vit(images)[2][0].attention
    with torch.autocast('cpu', torch.bfloat16):
        attention = vit(images)[2][0].attention
    assert exact.dtype == torch.float32 and attention.dtype == torch.bfloat16
    torch.testing.assert_close(attention.float(), exact, rtol=2e-2, atol=1e-3)


def test_checkpoint_of_other_classes_is_refused():
    with pytest.raises(ValueError, match='5 class tokens .* 3 classes'):
        build(3).load_state_dict(build(5).state_dict(), strict=False)


@pytest.mark.parametrize('size', [(64, 65), (80, 64), (100, 130), (48, 48)])
def test_position_embedding_is_resized_by_scale_factor(size):
    """The factor ((h + 0.1) / g, (w + 0.1) / g) sets the sample coordinates."""
    vit = build().double()
    grid = (size[0] // 16, size[1] // 16)
    got = vit.position_embedding(size, grid)
    plane = vit.pos_embed[:, 3:].reshape(1, 4, 4, 24).permute(0, 3, 1, 2)
    sides = [torch.arange(side, dtype=torch.float64) for side in grid]
    ys, xs = (2 * (side + 0.5) / (len(side) + 0.1) - 1 for side in sides)  # from -1 to 1
    where = torch.stack(torch.meshgrid(xs, ys, indexing='xy'), -1)[None]
    expected = F.grid_sample(plane, where, 'bicubic', 'border', align_corners=False)
    # Position embeddings are resized in float32.
    torch.testing.assert_close(
        got[:, 3:], expected.flatten(2).transpose(1, 2), rtol=1e-4, atol=1e-6
    )
    torch.testing.assert_close(got[:, :3], vit.pos_embed[:, :3])
    assert vit.position_embedding((64, 64), (4, 4)) is vit.pos_embed  # the trained grid


def test_grids_of_any_size():
    vit = build()
    for size, wanted in (((2, 40), (1, 2)), ((70, 95), (4, 5))):  # sides are cut
        tokens, grid, _ = vit(torch.randn(1, 3, *size))
        assert grid == wanted and tokens.shape == (1, 3 + grid[0] * grid[1], 24)
    small = torch.randn(1, 3, 2, 3)
    enlarged = torch.nn.functional.interpolate(small, (16, 16), mode='bilinear')
    torch.testing.assert_close(vit(small)[0], vit(enlarged)[0])

    stem = build(patch_size=8, patch_cfg=dict(conv_type='ConvStem'))
    assert stem(torch.randn(1, 3, 70, 64))[1] == (8, 8)
