"""The schedule of stage 0 against its formula."""

import math

import pytest
import torch

from semples_mmseg.engine import WarmupCosineLR


@pytest.mark.parametrize('lag', [False, True])
def test_value_at_every_epoch(lag):
    base = 6e-4 * 64 / 512
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(1))], lr=base)
    scheduler = WarmupCosineLR(optimizer, total=60, lag=lag)
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


def test_warm_up_must_fit():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    with pytest.raises(ValueError, match='warm-up of 5 does not fit in 5 epochs'):
        WarmupCosineLR(optimizer, total=5)
