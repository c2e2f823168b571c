"""Frozen CLIP networks compute after their rewriting what open_clip's own do."""

import copy

import open_clip
import pytest
import torch
from torch import nn

from semples_mmseg.models.clip.streamlining import FrozenBlock, streamline

VARIANTS = dict(
    class_token={},
    mean_of_patches=dict(pool_type='avg'),
    layer_scale=dict(ls_init_value=0.3),
    attention_pooling=dict(attentional_pool=True, attn_pooler_queries=4, attn_pooler_heads=2),
    normalised_last=dict(final_ln_after_pool=True),
)
CONVOLUTIONS = dict(
    efficientnet=dict(timm_model_name='test_efficientnet', image_size=64),
    norms_before_convolutions=dict(timm_model_name='resnetv2_18d', image_size=64),
    densenet=dict(timm_model_name='densenet121', image_size=64),
)


def both(config):
    """An image tower as open_clip has it, and rewritten; in eval mode, without gradients."""
    visual = open_clip.CLIP(**config).visual.eval().requires_grad_(False)
    for parameter in visual.parameters():
        parameter.add_(0.05 * torch.randn_like(parameter))  # biases are zero at first
    return visual, streamline(copy.deepcopy(visual))


def assert_equal(plain, rewritten, images):
    """The same features and the same gradients of the images."""
    images.requires_grad_()
    wanted, got = plain(images), rewritten(images)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)
    aim = torch.randn_like(wanted)
    gradients = [torch.autograd.grad((out * aim).sum(), images)[0] for out in (got, wanted)]
    assert gradients[1].abs().max() > 1e-3
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize('variant', VARIANTS)
@pytest.mark.parametrize('quick_gelu', [False, True])
def test_features_and_gradients(tiny_clip, variant, quick_gelu):
    tiny_clip['vision_cfg'].update(VARIANTS[variant])
    assert_equal(*both(dict(tiny_clip, quick_gelu=quick_gelu)), torch.randn(3, 3, 32, 32))


@pytest.mark.parametrize('kind', CONVOLUTIONS)
def test_batch_norms_are_folded(tiny_clip, kind):
    tiny_clip['vision_cfg'] = CONVOLUTIONS[kind]
    plain, _ = both(tiny_clip)
    for module in plain.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 2)
            module.running_mean.normal_(0, 0.2)
    rewritten = streamline(copy.deepcopy(plain))
    left = [sum(isinstance(m, nn.BatchNorm2d) for m in net.modules()) for net in (plain, rewritten)]
    assert left[1] <= left[0] * 0.6
    assert_equal(plain.double(), rewritten.double(), torch.randn(3, 3, 64, 64).double())


class Odd(nn.Module):
    """A tower with a norm that follows a convolution and reads another one."""

    image_size, trunk = (8, 6), 'has one'

    def __init__(self):
        super().__init__()
        self.read, self.unread = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, images):
        """Features (B, 3)."""
        return self.norm(self.read(self.unread(images).relu())).sum((2, 3))


def test_norms_are_folded_into_what_they_read_or_the_network_is_refused():
    plain = Odd()
    plain.norm.running_mean.normal_()
    rewritten = streamline(copy.deepcopy(plain))
    assert not isinstance(rewritten.norm, nn.BatchNorm2d)
    assert_equal(plain.eval(), rewritten, torch.randn(2, 3, 8, 6))
    plain.forward = lambda images: (plain.norm(plain.read(images)) + plain.read(images)).sum((2, 3))
    with pytest.raises(ValueError, match='streamline=False'):
        streamline(plain)


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
