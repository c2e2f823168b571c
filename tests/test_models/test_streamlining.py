"""Frozen CLIP networks compute after their rewriting what open_clip's own do."""

import copy

import open_clip
import pytest
import torch

from semples_mmseg.models.clip.streamlining import FrozenBlock, streamline

VARIANTS = dict(
    class_token={},
    mean_of_patches=dict(pool_type='avg'),
    layer_scale=dict(ls_init_value=0.3),
    attention_pooling=dict(attentional_pool=True, attn_pooler_queries=4, attn_pooler_heads=2),
    normalised_last=dict(final_ln_after_pool=True),
)


def both(config):
    """An image tower as open_clip has it, and rewritten; in eval mode, without gradients."""
    visual = open_clip.CLIP(**config).visual.eval().requires_grad_(False)
    for parameter in visual.parameters():
        parameter.add_(0.05 * torch.randn_like(parameter))  # biases are zero at first
    return visual, streamline(copy.deepcopy(visual)).requires_grad_(False)


@pytest.mark.parametrize('variant', VARIANTS)
@pytest.mark.parametrize('quick_gelu', [False, True])
def test_features_and_gradients(tiny_clip, variant, quick_gelu):
    tiny_clip['vision_cfg'].update(VARIANTS[variant])
    plain, rewritten = both(dict(tiny_clip, quick_gelu=quick_gelu))
    images = torch.randn(3, 3, 32, 32, requires_grad=True)
    wanted, got = plain(images), rewritten(images)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)
    aim = torch.randn_like(wanted)
    gradients = [torch.autograd.grad((out * aim).sum(), images)[0] for out in (got, wanted)]
    assert gradients[1].abs().max() > 1e-3
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-5)


def test_only_a_class_token_is_read_alone(tiny_clip):
    _, whole = both(copy.deepcopy(tiny_clip))
    assert not isinstance(whole.transformer.resblocks[-1], FrozenBlock)
    assert all(isinstance(block, FrozenBlock) for block in whole.transformer.resblocks[:-1])
    tiny_clip['vision_cfg'].update(pool_type='avg')
    _, mean = both(tiny_clip)
    assert isinstance(mean.transformer.resblocks[-1], FrozenBlock)
    # blocks of other kinds stay
    tower = torch.nn.Module()
    tower.transformer = open_clip.transformer.Transformer(24, 1, 2)
    custom = open_clip.transformer.CustomResidualAttentionBlock(24, 2)
    tower.transformer.resblocks.append(custom)
    first, last = streamline(tower).transformer.resblocks
    assert isinstance(first, FrozenBlock) and last is custom
