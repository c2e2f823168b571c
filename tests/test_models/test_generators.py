"""Mask generators of every kind go through the three stages."""

import copy
from typing import Any

import pytest
import torch
from mmseg.registry import MODELS
from tiny import TINY_GENERATOR, TINY_SEMPLES

from semples_mmseg.models import GeneratorOutput
from semples_mmseg.models.mask_generators import check_generator
from semples_mmseg.models.stages import STAGES

TINY_RESNET = dict(
    type='mmpretrain.ResNet', depth=18, base_channels=8, stem_channels=8, out_indices=(3,)
)
GENERATORS: dict[str, dict[str, Any]] = dict(
    weaktr=TINY_GENERATOR,
    cam_resnet=dict(type='CAMGenerator', backbone=TINY_RESNET, in_channels=64),
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
    for stage, role in (('match', 'masks'), ('prompt', 'prompts'), ('refine', 'masks')):
        model.set_stage(STAGES[stage])
        changed = changed_by_a_step(model, images, samples)
        assert changed and all(key.startswith(roles[role]) for key in changed), (stage, changed)
    model.set_stage(STAGES['classify'])
    changed = changed_by_a_step(model, images, samples)
    assert any(key.startswith(roles['features']) for key in changed)
    results = model.eval().predict([[torch.randn(3, 50, 70)]], make_samples([1, 0, 1]))
    assert results[0].cams.shape == (64, 64) and results[0].cams.data.isfinite().all()


@pytest.mark.parametrize('name', GENERATORS)
def test_outputs_keep_the_protocol(name):
    generator = build(GENERATORS[name]).mask_generator.eval()
    output = generator(torch.randn(2, 3, 48, 80))
    assert output.cams.shape[:2] == (2, 3) and (output.cams >= 0).all()
    assert output.logits and all(value.shape == (2, 3) for value in output.logits.values())


def test_backbone_eval_reaches_the_features_of_any_generator():
    model = build(GENERATORS['weaktr'], backbone_eval=True)
    assert not model.mask_generator.backbone.training and model.mask_generator.head.training


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
    own = STAGES['match'].__class__('own', ('match',), ('bias', 'mask_generator.head'))
    assert model.trained_by(own) == ('mask_generator.offset', 'mask_generator.head')
    with pytest.raises(ValueError, match=r"trains \['fusion'\].*roles \['bias', 'features'"):
        model.trained_by(STAGES['match'].__class__('own', ('match',), ('fusion',)))


def test_what_is_no_generator():
    with pytest.raises(ValueError, match='Conv2d is no mask generator: it needs num_classes and'):
        check_generator(torch.nn.Conv2d(3, 3, 1))
    wrong = Foreign(3)
    wrong.roles = dict(features=['stem'], masks=['hed'])
    with pytest.raises(ValueError, match=r"the roles of Foreign name \['hed'\]"):
        check_generator(wrong)
