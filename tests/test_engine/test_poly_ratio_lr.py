"""The learning rate of every parameter group follows one curve, scaled."""

import pytest
import torch
from mmseg.registry import PARAM_SCHEDULERS

from semples_mmseg.engine.poly_ratio_lr import PolyRatioLR


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


def test_bad_ratio():
    with pytest.raises(ValueError, match='eta_min_ratio'):
        PolyRatioLR(make_optimizer(), eta_min_ratio=2)
