"""Equations 1 to 3 against float64 loops written from the formulas; losses of one's own."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import nn

from semples_mmseg.engine.stage_plan import StagePlan
from semples_mmseg.models import (
    MatchLoss,
    Pairs,
    PromptLoss,
    RefineLoss,
    mean_over_pairs,
    similarity,
)
from semples_mmseg.models.losses.pairs import FEATURES, MAX_SIMILARITY, MIN_SIMILARITY

LOSSES = (MatchLoss(2.4), PromptLoss(0.02), RefineLoss(0.05))


def unit(*rows, seed=0):
    """Unit vectors with positive cosines among them."""
    generator = torch.Generator().manual_seed(seed)
    made = torch.rand(*rows, generator=generator, dtype=torch.float64) + 0.1
    return F.normalize(made, dim=-1).requires_grad_(True)


def pairs(**features):
    """A record with these features alone."""
    number = len(next(iter(features.values())))
    images, masks = torch.zeros(number, 3, 4, 4), torch.zeros(number, 1, 4, 4)
    return Pairs(images, torch.zeros(number, dtype=torch.long), masks[:, 0], masks, **features)


def needed(loss, number, width=8):
    """Features that a loss needs."""
    return {name: unit(number, width, seed=seed) for seed, name in enumerate(loss.needs)}


def clamp(value):
    return min(max(value, 1e-4), 0.9999)


def cosines(a, b):
    rows = zip(a.tolist(), b.tolist(), strict=True)
    return [clamp(sum(x * y for x, y in zip(p, q, strict=True))) for p, q in rows]


def value(loss, **features):
    """A loss of features, from its formula."""
    cos = lambda a, b: cosines(features[a], features[b])  # noqa: E731
    if isinstance(loss, MatchLoss):
        rows = zip(cos('v_f', 'u_f'), cos('v_b', 'u_f'), strict=True)
        return [-(math.log(f) + loss.background_weight * math.log(1 - b)) for f, b in rows]
    if isinstance(loss, RefineLoss):
        return [-loss.weight * math.log(1 - c) for c in cos('v_f', 'u_b')]
    rows = zip(cos('u_b', 'v_b'), cos('u_b', 'u_f'), strict=True)
    return [-loss.image_weight * math.log(i) + loss.text_weight * math.log(t) for i, t in rows]


@pytest.mark.parametrize('loss', [*LOSSES, PromptLoss(0.02, 0.0)])
@pytest.mark.parametrize('number', [0, 1, 5])
def test_values_and_gradients_are_those_of_the_equations(loss, number):
    features = needed(loss, number)
    expected = sum(value(loss, **features)) / max(number, 1)
    assert loss(pairs(**features)).item() == pytest.approx(expected, rel=1e-12)
    if number:
        names = features.keys()
        function = lambda *values: loss(pairs(**dict(zip(names, values, strict=True))))  # noqa: E731
        assert torch.autograd.gradcheck(function, tuple(needed(loss, 3, 6).values()))


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_the_clamp_bounds_values_and_stops_gradients(dtype):
    generator = torch.Generator().manual_seed(0)
    a = F.normalize(torch.randn(5, 16, generator=generator), dim=-1).to(dtype)
    # alike (rounding takes them above 1), opposite, orthogonal, and a feature of zeros
    b = torch.stack([a[0] * 1.01, -a[1], a[2].roll(1), torch.zeros_like(a[3]), a[4] * 1.01])
    a, b = a.requires_grad_(), b.detach().requires_grad_()
    found = similarity(a, b)
    expected = torch.tensor([MAX_SIMILARITY, MIN_SIMILARITY], dtype=found.dtype)
    torch.testing.assert_close(found[:2], expected)
    (gradient,) = torch.autograd.grad(found[[0, 1, 3]].sum(), a, retain_graph=True)
    assert gradient.abs().sum() == 0
    everything = dict(v_f=a, v_b=b, u_f=a, u_b=b)
    for loss in LOSSES:
        for names in ({}, dict(u_f=b), dict(u_b=a)):
            total = loss(pairs(**everything | names))
            gradients = torch.autograd.grad(total, (a, b), allow_unused=True)
            assert all(g is None or g.isfinite().all() for g in (total, *gradients))
    # a cosine of 1 would cost infinitely much
    most = -math.log(1 - 0.9999)
    assert RefineLoss(1.0)(pairs(v_f=a[:1], u_b=b[:1])).item() == pytest.approx(most, rel=1e-3)


def test_features_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match='needs'):
        MatchLoss()(pairs(v_f=torch.zeros(2, 4)))


@MODELS.register_module(force=True)
class AreaLoss(nn.Module):
    """A loss of one's own: the mean share of the image that masks cover."""

    needs = ()

    def __init__(self, weight=1.0):
        super().__init__()
        self.weight = weight

    def forward(self, pairs):
        return self.weight * mean_over_pairs(pairs.masks.mean((1, 2, 3)))


@MODELS.register_module(force=True)
class CountedLoss(nn.Module):
    """A loss that says nothing about what it needs, and is given everything."""

    def forward(self, pairs):
        count, width = pairs.u_b.shape
        assert pairs.images.shape == (count, 3, 32, 32) and pairs.masks.shape == (count, 1, 32, 32)
        assert pairs.classes.shape == (count,) and (not count or pairs.cams.shape == (count, 4, 4))
        assert all(getattr(pairs, name).shape == (count, width) for name in FEATURES)
        return mean_over_pairs(pairs.u_b[:, 0] * 0 + 1)


def build(config, stages, **losses):
    torch.manual_seed(1)
    model = MODELS.build(copy.deepcopy(config) | dict(losses=config['losses'] | losses))
    model.init_weights()
    model.mask_generator.head.weight.data *= 50
    model.set_stage(StagePlan(stages).specs[0].stage)
    return model.train()


def test_a_loss_of_ones_own_takes_two_lines(tiny_semples, make_samples):
    """One line names it in model.losses, the other in the stage."""
    images, samples = torch.randn(2, 3, 64, 64), make_samples([1, 0, 1], [0, 1, 0])
    refine = [dict(name='refine', epochs=1)]
    plain = build(tiny_semples, refine).loss(images, samples)
    model = build(
        tiny_semples,
        [dict(name='refine', epochs=1, losses=['match', 'refine', 'area'])],
        area=dict(type='AreaLoss', weight=2.0),
    )
    masks = []
    model.losses['area'].register_forward_pre_hook(lambda _, inputs: masks.append(inputs[0].masks))
    losses = model.loss(images, samples)
    assert list(losses) == ['loss_match', 'loss_refine', 'loss_area']
    assert all(losses[name].equal(plain[name]) for name in plain)
    assert losses['loss_area'].item() == pytest.approx(2 * masks[0].mean().item())
    losses['loss_area'].backward()
    assert model.mask_generator.head.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ('losses', 'images', 'prompts'),
    [
        (['area'], [], 0),
        (['match'], [6], 0),
        (['prompt'], [3], 3),
        (['refine', 'area'], [3], 3),
        (['match', 'refine'], [6], 3),
        (['counted'], [6], 3),
    ],
)
def test_nothing_is_encoded_that_no_loss_asks_for(
    tiny_semples, make_samples, monkeypatch, losses, images, prompts
):
    own = dict(area=dict(type='AreaLoss'), counted=dict(type='CountedLoss'))
    model = build(tiny_semples, [dict(name='match', epochs=1, losses=losses)], **own)
    seen, rows = [], []
    encode, encode_prompts = model.image_head._encode, model.text_head.encode_prompts
    monkeypatch.setattr(model.image_head, '_encode', lambda x: seen.append(len(x)) or encode(x))
    monkeypatch.setattr(
        model.text_head, 'encode_prompts', lambda p: rows.append(len(p)) or encode_prompts(p)
    )
    found = model.loss(torch.randn(2, 3, 64, 64), make_samples([1, 0, 1], [0, 1, 0]))
    assert seen == images and sum(rows) == prompts
    assert all(value.isfinite() for value in found.values())
    # nor without any pair, where every loss is called all the same
    empty = model.loss(torch.randn(1, 3, 64, 64), make_samples([0, 0, 0]))
    assert {name: value.item() for name, value in empty.items()} == dict.fromkeys(found, 0)
    sum(empty.values()).backward()
    assert all((p.grad == 0).all() for p in model.parameters() if p.requires_grad)
    assert seen == images
