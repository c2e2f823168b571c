"""A CLIP of one's own that trains, and a CLIP that does not fit the data."""

import copy

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.optim import build_optim_wrapper
from mmseg.registry import MODELS
from tiny import TINY_SEMPLES

from semples_mmseg.models import build_clip, mean_over_pairs
from semples_mmseg.models.segmentors import semples
from semples_mmseg.models.stages import resolve_stage

LEFT_ALONE = dict(
    image_head=dict(streamline=False),
    text_head=dict(streamline=False),
    losses=TINY_SEMPLES['losses'] | dict(cosine=dict(type='CosineLoss')),
)


@MODELS.register_module(force=True)
def adapted_clip(**config):
    """A CLIP whose image features go through an adapter."""
    clip = build_clip(**config)
    clip.visual.ln_post = torch.nn.Sequential(clip.visual.ln_post, torch.nn.Linear(32, 32))
    return clip


@MODELS.register_module(force=True)
class CosineLoss(torch.nn.Module):
    """A loss without a clamp, whose gradient is never zero."""

    def forward(self, pairs):
        return mean_over_pairs((pairs.v_f * pairs.u_f + pairs.v_b * pairs.u_b).sum(-1))


def own_clip(stage, **changes):
    clip = dict(TINY_SEMPLES['clip'], type='adapted_clip')
    torch.manual_seed(2)
    model = MODELS.build(copy.deepcopy(TINY_SEMPLES) | LEFT_ALONE | dict(clip=clip) | changes)
    model.init_weights()
    model.mask_generator.head.weight.data *= 50
    model.set_stage(stage)
    return model.train()


@pytest.mark.parametrize('part', ['image_head.encoder.clip.ln_post.1', 'text_head.encoder.clip'])
@pytest.mark.parametrize('manual', [False, True])
def test_what_a_stage_names_trains_and_features_follow(make_samples, part, manual):
    stage = resolve_stage('own', losses=['cosine'], trains=[part])
    learner = dict(prompt_learner=dict(type='ManualPrompts', texts=['sky', 'sea']))
    model = own_clip(stage, **(learner if manual else {}))
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained and all(name.startswith(part) for name in trained)
    before = copy.deepcopy(model.state_dict())
    classes = torch.arange(3)
    texts = [model.text_head.features(classes), model.prompt_features(classes)]
    optimizer = build_optim_wrapper(model, dict(optimizer=dict(type='SGD', lr=0.1)))
    images, samples = torch.randn(2, 3, 64, 64), make_samples([1, 0, 1], [0, 1, 0])
    optimizer.update_params(sum(model.loss(images, samples).values()))
    changed = {name for name, value in model.state_dict().items() if not value.equal(before[name])}
    assert changed and changed <= trained
    after = [model.text_head.features(classes), model.prompt_features(classes)]
    same = [torch.equal(*pair) for pair in zip(texts, after, strict=True)]
    assert same == [part.startswith('image')] * 2
    other = own_clip(stage, **(learner if manual else {}))  # the trained CLIP is in checkpoints
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(other.text_head.features(classes), after[0])


def test_a_given_clip_is_left_alone():
    clip = build_clip(**TINY_SEMPLES['clip'])
    names = {name: type(module) for name, module in clip.named_modules()}
    trained = [p.requires_grad for p in clip.parameters()]
    for kind, options in (('CLIPImageHead', {}), ('CLIPTextHead', dict(class_names=['cat']))):
        MODELS.build(dict(type=kind, clip=clip, streamline=False, **options))
    assert {name: type(module) for name, module in clip.named_modules()} == names
    assert [p.requires_grad for p in clip.parameters()] == trained


@pytest.mark.parametrize(('sign', 'share'), [(-1, 1), (1, 0)])
def test_the_share_of_clamped_pairs_is_logged(tiny_semples, make_samples, monkeypatch, sign, share):
    hub, told = MessageHub.get_instance(f'clamped{sign}'), []
    monkeypatch.setattr(semples, 'print_log', lambda text, *_: told.append(text))
    model = MODELS.build(tiny_semples).train()
    samples, images = make_samples([1, 0, 1], [0, 1, 0]), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        mean = model.image_head(model.image_head.prepare(images)).mean(0)
        model.text_head.class_features.copy_(sign * torch.nn.functional.normalize(mean, dim=0))
    for _ in range(semples._WATCHED + 5):
        losses = model.loss(images, samples)
        logged = model.parse_losses(losses)[1]
        hub.update_scalar('train/clamped', logged['clamped'])
    assert logged['clamped'] == share and 'clamped' not in losses
    empty = model.parse_losses(model.loss(images, make_samples([0, 0, 0], [0, 0, 0])))[1]
    assert empty['clamped'] == 0
    assert len(told) == share
    assert not share or ('model.clip' in told[0] and 'model.text_head.template' in told[0])


def test_clip_is_built_when_it_is_used(tiny_semples):
    """Weights that are loaded before wait for it, are saved, and are checked then."""
    torch.manual_seed(1)
    model = MODELS.build(copy.deepcopy(tiny_semples)).eval()
    state, classes = model.state_dict(), torch.tensor([2, 0])
    torch.manual_seed(1)
    late = MODELS.build(dict(tiny_semples, stage=None)).eval()
    late.load_state_dict(state, strict=True)
    assert [name for name, _ in late.named_children()][1:] == ['mask_generator', 'losses']
    assert late.state_dict().keys() == state.keys()
    other = copy.deepcopy(late)
    torch.testing.assert_close(late.prompt_features(classes), model.prompt_features(classes))
    assert not late.image_head.training and late.state_dict().keys() == state.keys()
    for _ in range(2):  # a CLIP of other random numbers
        with pytest.raises(ValueError, match='another CLIP or other class names'):
            other.image_head(torch.zeros(1, 3, 32, 32))
