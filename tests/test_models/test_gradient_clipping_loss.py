"""The gradient clipping loss against its definition in float64 loops."""

import math

import pytest
import torch

from semples_mmseg.models.losses.gradient_clipping_loss import GradientClippingLoss


def reference(score, label, start, tile):
    """Value and d(value)/d(per-pixel loss), pixel by pixel."""
    n, _, height, width = score.shape
    log_p = score.double() - score.double().exp().sum(1, keepdim=True).log()
    pixels = [(b, y, x) for b in range(n) for y in range(height) for x in range(width)]
    loss = {
        (b, y, x): 0.0 if label[b, y, x] == 255 else -float(log_p[b, label[b, y, x], y, x])
        for b, y, x in pixels
    }
    mean = math.fsum(loss.values()) / len(pixels)
    if mean > start:
        return mean, dict.fromkeys(pixels, 1 / len(pixels))
    total, grad = 0.0, {}
    for b, y, x in pixels:
        members = [p for p in pixels if p[1] // tile == y // tile and p[2] // tile == x // tile]
        tile_mean = math.fsum(loss[p] for p in members) / len(members)
        threshold = max(tile_mean, mean)
        total += min(loss[b, y, x], threshold) / len(pixels)
        grad[b, y, x] = float(loss[b, y, x] <= threshold) / len(pixels)
    return total, grad


def make_inputs(seed=0, size=(7, 9), scale=3.0):
    rng = torch.Generator().manual_seed(seed)
    score = (scale * torch.randn(2, 4, *size, generator=rng, dtype=torch.float64)).requires_grad_()
    label = torch.randint(0, 4, (2, *size), generator=rng)
    label[torch.rand(label.shape, generator=rng) < 0.25] = 255
    label[:, :3, :3] = 255  # a whole tile without labels
    return score, label


@pytest.mark.parametrize('start', [1e9, 1e-9])
@pytest.mark.parametrize('tile', [3, 4, 120])
def test_value_and_gradient(start, tile):
    score, label = make_inputs()
    value = GradientClippingLoss(start, tile)(score, label)
    (gradient,) = torch.autograd.grad(value, score)
    expected, pixel_gradient = reference(score.detach(), label, start, tile)
    assert float(value.detach()) == pytest.approx(expected, abs=1e-12)
    probability = score.detach().softmax(1)
    for (b, y, x), factor in pixel_gradient.items():
        target = torch.zeros(4, dtype=torch.float64)
        if label[b, y, x] != 255:
            target = probability[b, :, y, x].clone()
            target[label[b, y, x]] -= 1
            target *= factor
        torch.testing.assert_close(gradient[b, :, y, x], target, atol=1e-12, rtol=0)
    clipped = sum(v == 0 for p, v in pixel_gradient.items() if label[p] != 255)
    assert (clipped > 0) == (start > 1)  # the case does exercise what it is about


def test_weights_scale_the_loss_and_the_start_value_itself_clips():
    score, label = make_inputs()
    base = GradientClippingLoss(1e-9)(score, label)
    weight = torch.full(label.shape, 2.0, dtype=torch.float64)
    torch.testing.assert_close(GradientClippingLoss(1e-9)(score, label, weight=weight), 2 * base)
    torch.testing.assert_close(GradientClippingLoss(1e-9, loss_weight=0.5)(score, label), base / 2)
    with pytest.raises(ValueError, match='`tile`'):
        GradientClippingLoss(tile=0)
    score = score.detach()
    mean = reference(score, label, 0, 3)[0]
    at, below = GradientClippingLoss(mean, 3), GradientClippingLoss(mean - 1e-9, 3)
    assert float(below(score, label)) == pytest.approx(mean, abs=1e-12)
    assert float(at(score, label)) < mean - 1e-3
