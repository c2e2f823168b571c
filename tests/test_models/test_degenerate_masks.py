"""Losses, gradients, masks and cosines are finite in halves, too, for the strangest of CAMs."""

import copy
import dataclasses
import itertools

import pytest
import torch
from mmseg.registry import MODELS

from semples_mmseg.models import GradientClippingLoss
from semples_mmseg.models.soft_masks import soft_masks
from semples_mmseg.models.stages import STAGES

DTYPES = [torch.float32, torch.bfloat16, torch.float16]
LABELS = dict(
    some=([1, 0, 1], [0, 1, 0]),
    all=([1, 1, 1], [1, 1, 1]),
    one_without=([1, 1, 1], [0, 0, 0]),
    none=([0, 0, 0], [0, 0, 0]),
)


def strange_cams(like):
    """CAMs (2, 3, h, w): zeros, ones, one pixel; tiny range, large constant, large pixel."""
    cams = torch.zeros(like.shape)
    pixels = cams[..., 1, 2]  # of each map
    cams[0, 1], cams[1, 1] = 1, 6e4
    pixels[0, 2], pixels[1, 0], pixels[1, 2] = 1, 1e-7, 6e4
    return cams.to(like)


@pytest.fixture(scope='module')
def models():
    """One model a stage."""
    built = {}

    def get(config, stage):
        if stage not in built:
            torch.manual_seed(9)
            model = MODELS.build(copy.deepcopy(config))
            model.init_weights()
            model.set_stage(STAGES[stage])
            built[stage] = model.train()
        return built[stage]

    return get


def assert_finite_step(model, samples, dtype):
    model.zero_grad()
    inputs = torch.randn(len(samples), 3, 64, 64)
    with torch.autocast('cpu', dtype, enabled=dtype != torch.float32):
        losses = model.loss(inputs, samples)
    assert losses and all(value.isfinite() for value in losses.values()), losses
    sum(losses.values()).backward()
    gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    assert gradients.keys() <= {n for n, p in model.named_parameters() if p.requires_grad}
    assert [name for name, grad in gradients.items() if not grad.isfinite().all()] == []
    return gradients


@pytest.mark.parametrize('dtype', DTYPES, ids=str)
@pytest.mark.parametrize('stage', STAGES)
def test_steps_are_finite_whatever_the_cams(
    tiny_semples, make_samples, models, monkeypatch, stage, dtype
):
    model = models(tiny_semples, stage)
    generate, masks = model.mask_generator.forward, []
    original = soft_masks

    def record(cams, size, eps):
        masks.append(original(cams, size, eps))
        return masks[-1]

    monkeypatch.setattr('semples_mmseg.models.segmentors.semples.soft_masks', record)

    def forward(*args, **kwargs):
        output = generate(*args, **kwargs)
        # A product with zero keeps the graph; infinite gradients would become NaN in it.
        return dataclasses.replace(output, cams=output.cams * 0 + strange_cams(output.cams))

    monkeypatch.setattr(model.mask_generator, 'forward', forward)
    for labels in LABELS.values():
        assert assert_finite_step(model, make_samples(*labels), dtype)
    assert (stage == 'classify') == (not masks)
    for mask in masks:
        assert mask.isfinite().all() and mask.dtype == torch.float32
        assert mask.min() >= 0 and mask.max() <= 1


@pytest.mark.parametrize('dtype', DTYPES, ids=str)
def test_clipping_loss_is_finite_for_degenerate_pseudo_masks(dtype):
    nothing = torch.full((2, 300, 300), 255)
    one_pixel = nothing.clone()
    one_pixel[0, 7, 7] = 2
    whole = torch.zeros_like(nothing)
    loss = GradientClippingLoss()
    for label, scale in itertools.product((nothing, one_pixel, whole), (0.0, 1.0, 1e4)):
        logits = (torch.randn(2, 3, 300, 300) * scale).to(dtype).requires_grad_()
        value = loss(logits, label)
        assert value.isfinite() and (label is not nothing or value == 0), (label.unique(), scale)
        (gradient,) = torch.autograd.grad(value, logits)
        assert gradient.isfinite().all()
