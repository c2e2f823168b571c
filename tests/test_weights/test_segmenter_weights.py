"""A published Segmenter in MMSeg's model, against timm's blocks under the published names."""

import pytest
import timm
import torch
import torch.nn.functional as F
from mmengine.runner import load_checkpoint
from mmseg.registry import MODELS
from tiny_segmenter import SMALL_WINDOWS, TINY_ENCODER, load
from torch import nn

from semples_mmseg.weights import convert_file

CLASSES = 5


class Decoder(nn.Module):
    """The mask transformer of Segmenter (arXiv 2105.05633, section 3.2), names as published."""

    def __init__(self, width, heads):
        super().__init__()
        block = timm.models.vision_transformer.Block
        self.proj_dec = nn.Linear(width, width)
        self.cls_emb = nn.Parameter(torch.rand(1, CLASSES, width))
        self.blocks = nn.ModuleList(block(width, heads, 4, qkv_bias=True) for _ in range(2))
        self.proj_patch = nn.Parameter(torch.rand(width, width))
        self.proj_classes = nn.Parameter(torch.rand(width, width))
        self.decoder_norm = nn.LayerNorm(width)
        self.mask_norm = nn.LayerNorm(CLASSES)

    def forward(self, patches):
        x = torch.cat([self.proj_dec(patches), self.cls_emb.expand(len(patches), -1, -1)], 1)
        for block in self.blocks:
            x = block(x)
        x = self.decoder_norm(x)
        patches = F.normalize(x[:, :-CLASSES] @ self.proj_patch, dim=-1)
        classes = F.normalize(x[:, -CLASSES:] @ self.proj_classes, dim=-1)
        return self.mask_norm(patches @ classes.transpose(1, 2))


class Segmenter(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = timm.models.VisionTransformer(
            img_size=64, patch_size=16, embed_dim=12, depth=2, num_heads=2, mlp_ratio=2
        )
        self.decoder = Decoder(12, 2)

    def forward(self, images):
        patches = self.encoder.forward_features(images)[:, 1:]
        return self.decoder(patches).transpose(1, 2).reshape(len(images), CLASSES, 4, 4)


@pytest.fixture
def published(tmp_path):
    model = Segmenter().eval()
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-5
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    torch.save(dict(model=model.state_dict(), n_cls=CLASSES), tmp_path / 'segmenter.pth')
    return model


@pytest.mark.parametrize('convert', [False, True])
def test_a_published_segmenter_gives_its_logits(published, tmp_path, convert):
    path = f'weights:{tmp_path}/segmenter.pth'
    if convert:
        weights = convert_file(tmp_path / 'segmenter.pth', tmp_path / 'ours.pth')
        assert weights.layout.startswith('Segmenter')
        assert weights.unused == ('encoder.head.bias', 'encoder.head.weight')
        path = str(tmp_path / 'ours.pth')
    config = load('segmenter_deit-s_voc12.py', TINY_ENCODER, SMALL_WINDOWS)
    config.model.decode_head.num_classes = CLASSES
    ours = MODELS.build(config.model)
    ours.eval()  # returns nothing in MMPretrain
    load_checkpoint(ours, path)
    images = torch.randn(2, 3, 64, 64)
    got = ours.decode_head(ours.backbone(images))
    torch.testing.assert_close(got, published(images), rtol=1e-4, atol=1e-4)
