"""Refinement by the patch affinity of a transformer: against a loop, and as a component."""

import math

import numpy as np
import pytest
import timm
import torch
from mmseg.registry import TASK_UTILS
from PIL import Image
from safetensors.torch import save_file

from semples_mmseg.masks.patch_affinity import spread
from semples_mmseg.models.soft_masks import label_map


def test_equals_a_loop_over_patches():
    rng = torch.Generator().manual_seed(0)
    features = torch.randn((5, 2, 3), generator=rng, dtype=torch.float64)
    cams = torch.rand((2, 2, 3), generator=rng, dtype=torch.float64)
    tokens = features.flatten(1).T.tolist()

    def cosine(a, b):
        lengths = [math.sqrt(sum(x * x for x in some)) for some in (a, b)]
        return sum(x * y for x, y in zip(a, b, strict=True)) / math.prod(lengths)

    rows = [[max(cosine(a, b) - 0.1, 0) for b in tokens] for a in tokens]
    expected = []
    for cam in cams.flatten(1).tolist():
        for _ in range(3):
            cam = [sum(w * v for w, v in zip(row, cam, strict=True)) / sum(row) for row in rows]
        low, high = min(cam), max(cam)
        expected.append([(value - low) / (high - low) for value in cam])
    result = spread(features, cams, beta=0.1, iterations=3)
    expected = torch.tensor(expected, dtype=torch.float64).view(2, 2, 3)
    torch.testing.assert_close(result, expected, atol=1e-6, rtol=0)


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    save_file(timm.create_model('test_vit').state_dict(), tmp_path / 'vit.safetensors')
    return str(tmp_path / 'vit.safetensors')


def test_component_takes_the_patch_tokens_of_a_transformer(tmp_path, weights):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 70, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'a.png')
    config = dict(type='PatchAffinity', model='test_vit', weights=weights, scale=1.5)
    refine = TASK_UTILS.build(config)
    assert not refine.in_workers
    numbers = dict(scale=1.5, beta=0.4, iterations=2)
    assert refine.settings == dict(type='PatchAffinity', model='test_vit', **numbers)
    assert {name: str(file) for name, file in refine.inputs({}).items()} == dict(
        transformer=weights
    )
    # timm's own whole forward, at the size that fits: 1.5 x (40, 70) is (64, 112) in patches of 16
    network = timm.create_model('test_vit', dynamic_img_size=True).eval()
    network.load_state_dict(refine.network.state_dict())
    scaled = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    scaled = torch.nn.functional.interpolate(scaled, (64, 112), mode='bicubic', antialias=True)
    mean, std = (torch.tensor(network.pretrained_cfg[k]).view(3, 1, 1) for k in ('mean', 'std'))
    with torch.no_grad():
        tokens = network.forward_features((scaled - mean) / std)[0, 1:]  # without the class token
    features = refine.features(torch.from_numpy(pixels))
    torch.testing.assert_close(features.flatten(1).T, tokens)
    cams = torch.rand((2, 40, 70), generator=torch.Generator().manual_seed(2))
    classes = torch.tensor([1, 4])
    sample = dict(img_path=str(tmp_path / 'a.png'), cams=dict(data=cams))
    sample |= dict(cam_classes=classes, background_score=0.45)
    label = refine(np.zeros((40, 70), np.uint8), sample)
    expected = label_map(spread(features, cams), classes, 0.45).numpy()
    np.testing.assert_array_equal(label, expected)
    assert label.dtype == np.uint8 and {*np.unique(label)} == {0, 2, 5}
    empty = dict(sample, cams=dict(data=cams[:0]), cam_classes=classes[:0])
    assert not refine(np.zeros((40, 70), np.uint8), empty).any()


@pytest.mark.parametrize(
    ('changes', 'told'),
    [
        (dict(model='resnet18', weights=None), "'resnet18' of timm is no vision transformer with"),
        (dict(model='test_vit3'), "'test_vit3' .*safetensors has no weights of it: .*Missing key"),
        (dict(model='vit_tini'), "'vit_tini' .*Unknown model"),
        (dict(weights='none.pth'), 'no weights at none.pth'),
        (dict(model='test_vit.no_tag', weights=None), 'Invalid pretrained tag'),
        (dict(beta=1.0), r'`beta` must be in \[0, 1\)'),
        (dict(iterations=0), 'positive'),
    ],
)
def test_what_does_not_fit_is_refused_before_work(weights, changes, told):
    config = dict(type='PatchAffinity', model='test_vit', weights=weights) | changes
    with pytest.raises(ValueError, match=told):
        TASK_UTILS.build(config)
