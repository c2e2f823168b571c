"""The learning rates of the published runs against their formulas."""

import math

import pytest
import torch
from mmseg.registry import PARAM_SCHEDULERS

from semples_mmseg.engine import PolyRatioLR, WarmupCosineLR


@pytest.mark.parametrize('lag', [False, True])
def test_value_at_every_epoch(lag):
    base = 6e-4 * 64 / 512
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(1))], lr=base)
    scheduler = WarmupCosineLR(optimizer, end=60, lag=lag)
    for epoch in range(60):
        t = max(epoch - 1, 0) if lag else epoch
        expected = (
            1e-6 + t * (base - 1e-6) / 5
            if t < 5
            else 1e-5 + (base - 1e-5) * (1 + math.cos(math.pi * t / 60)) / 2
        )
        assert optimizer.param_groups[0]['lr'] == pytest.approx(expected, rel=1e-9), epoch
        optimizer.step()
        scheduler.step()


def make_optimizer():
    head, encoder = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    return torch.optim.SGD([dict(params=[head]), dict(params=[encoder], lr=1e-5)], lr=1e-4)


def test_the_multiplier_scales_the_whole_curve():
    steps, optimizer = 21, make_optimizer()
    scheduler = PARAM_SCHEDULERS.build(
        dict(type='PolyRatioLR', optimizer=optimizer, eta_min_ratio=0.1, power=0.9, end=steps)
    )
    assert isinstance(scheduler, PolyRatioLR)
    for step in range(steps):
        curve = 0.1 + 0.9 * (1 - step / (steps - 1)) ** 0.9
        rates = [group['lr'] for group in optimizer.param_groups]
        assert rates == pytest.approx([1e-4 * curve, 1e-5 * curve], rel=1e-9)
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([1e-5, 1e-6])


def test_published_steps_end_just_above_the_minimum():
    steps, optimizer = 21, make_optimizer()
    scheduler = PolyRatioLR(optimizer, eta_min_ratio=0.1, power=0.9, end=steps, reach_minimum=False)
    for step in range(steps):
        curve = 0.1 + 0.9 * (1 - step / steps) ** 0.9
        assert optimizer.param_groups[0]['lr'] == pytest.approx(1e-4 * curve, rel=1e-9)
        optimizer.step()
        scheduler.step()
