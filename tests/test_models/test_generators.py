"""Mask generators of every kind go through the three stages."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from tiny import TINY_GENERATOR, TINY_SEMPLES

from semples_mmseg.models import GeneratorOutput
from semples_mmseg.models.mask_generators.protocol import check_generator
from semples_mmseg.models.stages import STAGES, resolve_stage

ROOT = Path(__file__).parents[2]
TINY_RESNET = dict(
    type='mmpretrain.ResNet', depth=18, base_channels=8, stem_channels=8, out_indices=(3,)
)
TIMM = dict(type='mmpretrain.TIMMBackbone', features_only=True)
GENERATORS: dict[str, dict[str, Any]] = dict(
    weaktr=TINY_GENERATOR,
    weaktr_dinov2=dict(
        TINY_GENERATOR, backbone=dict(TINY_GENERATOR['backbone'], patch_size=14, layer_scale=0.1)
    ),
    mctformer=dict(type='MCTformerGenerator', backbone=TINY_GENERATOR['backbone'], last_blocks=1),
    cam_resnet=dict(type='CAMGenerator', backbone=TINY_RESNET, in_channels=64),
    cam_timm=dict(type='CAMGenerator', backbone=dict(TIMM, model_name='test_convnext')),
    cam_timm_vit=dict(
        type='CAMGenerator',
        size_divisor=16,
        backbone=dict(TIMM, model_name='test_vit', dynamic_img_size=True, out_indices=(-1,)),
    ),
)


def build(generator, stage='match', **options):
    torch.manual_seed(1)
    generator = dict(copy.deepcopy(generator))
    generator.pop('num_classes', None)
    model = MODELS.build(dict(TINY_SEMPLES, mask_generator=generator, **options))
    model.init_weights()
    model.mask_generator.head.weight.data *= 50
    model.set_stage(STAGES[stage])
    return model.train()


def changed_by_a_step(model, inputs, samples):
    """Names of the tensors, buffers included, that a training step changes."""
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.01)
    loss = sum(model.loss(inputs, samples).values())
    assert loss.isfinite()
    loss.backward()
    optimizer.step()
    return {name for name, value in model.state_dict().items() if not value.equal(before[name])}


@pytest.mark.parametrize('name', GENERATORS)
def test_the_three_stages_and_a_prediction(name, make_samples):
    """Match, prompt and refine change what they train and nothing else, statistics included."""
    model = build(GENERATORS[name])
    images, samples = torch.randn(2, 3, 64, 64), make_samples([1, 0, 1], [0, 1, 0])
    roles = model.roles()
    both = roles['masks'] + roles['prompts']
    for stage, modules in (
        ('match', roles['masks']),
        ('prompt', roles['prompts']),
        ('refine', roles['masks']),
        ('joint', both),
    ):
        model.set_stage(STAGES[stage])
        changed = changed_by_a_step(model, images, samples)
        assert changed and all(key.startswith(modules) for key in changed), (stage, changed)
    assert any(key.startswith(roles['prompts']) for key in changed)
    model.set_stage(STAGES['classify'])
    changed = changed_by_a_step(model, images, samples)
    assert any(key.startswith(roles['features']) for key in changed)
    output = model.eval().mask_generator(images)
    assert output.cams.shape[:2] == (2, 3) and (output.cams >= 0).all()
    assert output.logits and all(value.shape == (2, 3) for value in output.logits.values())
    results = model.predict([[torch.randn(3, 50, 70)]], make_samples([1, 0, 1]))
    assert results[0].cams.shape == (64, 64) and results[0].cams.data.isfinite().all()


@pytest.mark.parametrize('last', [1, 2])
def test_mctformer_equals_its_formulas(last):
    generator = dict(GENERATORS['mctformer'], last_blocks=last, num_classes=3)
    generator = MODELS.build(generator).double().eval()
    generator.init_weights()
    images = torch.randn(2, 3, 48, 64, dtype=torch.float64)
    tokens, (h, w), traces = generator.backbone(images)  # with its attention maps
    attention = torch.stack([trace.attention for trace in traces[-last:]]).mean((0, 2))
    patches = tokens[:, 3:].transpose(1, 2).reshape(2, -1, h, w)
    head = generator.head
    coarse = torch.nn.functional.conv2d(patches, head.weight, head.bias, padding=1)
    seed = attention[:, :3, 3:] * coarse.relu().flatten(2)
    fine = torch.einsum('bqp,bkp->bkq', attention[:, 3:, 3:], seed)
    output = generator(images)
    torch.testing.assert_close(output.seed, seed.reshape(2, 3, h, w))
    torch.testing.assert_close(output.cams, fine.reshape(2, 3, h, w))
    torch.testing.assert_close(output.logits['token'], tokens[:, :3].mean(-1))
    torch.testing.assert_close(output.logits['coarse'], coarse.mean((2, 3)))
    with pytest.raises(ValueError, match='last_blocks must be 1 to 2, the blocks'):
        MODELS.build(dict(GENERATORS['mctformer'], last_blocks=3, num_classes=3))


def test_cam_generator_equals_its_formula_and_needs_maps():
    generator = MODELS.build(dict(GENERATORS['cam_resnet'], num_classes=4)).eval()
    images = torch.randn(2, 3, 64, 96)
    output = generator(images)
    features = generator.backbone(images)[-1]
    maps = torch.einsum('kc,bchw->bkhw', generator.head.weight[..., 0, 0], features)
    torch.testing.assert_close(output.cams, maps.clamp(min=0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(output.logits['coarse'], maps.mean((2, 3)), rtol=1e-4, atol=1e-4)
    assert output.affinity is None and output.coarse is output.cams
    vit = dict(type='mmpretrain.VisionTransformer', arch='deit-tiny', img_size=32)
    with pytest.raises(ValueError, match='VisionTransformer returns no maps'):
        MODELS.build(dict(type='CAMGenerator', num_classes=3, backbone=vit, img_size=32))


@pytest.mark.parametrize('path', sorted((ROOT / 'configs/semples/generators').glob('*.py')))
def test_configs_build_and_have_all_stages(path):
    config = Config.fromfile(path)
    assert [stage.name for stage in config.stages] == ['classify', 'match', 'prompt', 'refine']
    generator = dict(config.model.mask_generator, num_classes=20)
    generator['backbone'] = dict(generator['backbone'], init_cfg=None)
    if 'pretrained' in generator['backbone']:
        generator['backbone']['pretrained'] = False
    foreign = generator['backbone']['type'].startswith('mmpretrain.')  # these read numbers
    with torch.device('cpu' if foreign else 'meta'):
        check_generator(MODELS.build(generator))


class Foreign(torch.nn.Module):
    """A generator that shares no code with ours."""

    roles = dict(features=['stem'], masks=['head'], bias=['offset'])

    def __init__(self, num_classes):
        super().__init__()
        self.num_classes = num_classes
        self.stem = torch.nn.Conv2d(3, 4, 16, 16)
        self.head = torch.nn.Conv2d(4, num_classes, 1)
        self.offset = torch.nn.ParameterList([torch.zeros(1)])

    def forward(self, images, detach_coarse=False):
        maps = self.head(self.stem(images)) + self.offset[0]
        return GeneratorOutput(maps.relu(), dict(coarse=maps.mean((2, 3))))


def test_a_generator_of_ones_own_and_its_roles(make_samples):
    model = build(dict(type=Foreign))
    images, samples = torch.randn(1, 3, 64, 64), make_samples([1, 1, 0])
    assert changed_by_a_step(model, images, samples) == {
        'mask_generator.head.weight',
        'mask_generator.head.bias',
    }
    own = resolve_stage('own', losses=['match'], trains=['bias', 'mask_generator.head'])
    assert model.trained_by(own) == ('mask_generator.offset', 'mask_generator.head')
    with pytest.raises(ValueError, match=r"trains \['fusion'\].*roles \['bias', 'features'"):
        model.trained_by(resolve_stage('match', trains=['fusion']))


def test_what_is_no_generator():
    with pytest.raises(ValueError, match='Conv2d is no mask generator: it needs num_classes and'):
        check_generator(torch.nn.Conv2d(3, 3, 1))
    wrong = Foreign(3)
    wrong.roles = dict(features=['stem'], masks=['hed'])
    with pytest.raises(ValueError, match=r"the roles of Foreign name \['hed'\]"):
        check_generator(wrong)


class Four(Foreign):
    """A generator that makes maps of four classes whatever it is asked for."""

    def __init__(self, num_classes):
        super().__init__(4)
        self.num_classes = num_classes


class Maps(Foreign):
    """A generator that returns maps alone."""

    def forward(self, images, detach_coarse=False):
        return super().forward(images).cams


@pytest.mark.parametrize(
    ('kind', 'message'),
    [
        (Four, r'Four returned \[\(2, 4, 16\), \(2, 4\)\], not .* cams \(B, 3, h, w\)'),
        (Maps, 'Maps returned Tensor, not a GeneratorOutput'),
    ],
)
def test_outputs_of_other_classes_are_refused(kind, message, make_samples):
    with pytest.raises(ValueError, match=message):
        build(dict(type=kind)).predict(torch.zeros(1, 3, 64, 64), make_samples([1, 0, 0]))


@pytest.mark.parametrize('options', [{}, dict(dynamic_img_size=True)])
def test_transformers_that_take_one_size_are_refused(options):
    vit = dict(type='mmpretrain.TIMMBackbone', model_name='vit_tiny_patch16_224', **options)
    vit |= dict(features_only=True, out_indices=(-1,), depth=1)
    generator = dict(type='CAMGenerator', num_classes=3, backbone=vit, img_size=224)
    with pytest.raises(ValueError, match='set mask_generator.size_divisor to .*dynamic_img_size'):
        MODELS.build(generator)
    if options:
        assert MODELS.build(dict(generator, size_divisor=16))(torch.zeros(1, 3, 230, 64)).cams.any
