"""Equations 1 to 3 against float64 loops written from the formulas; values and gradients."""

import math

import pytest
import torch
import torch.nn.functional as F

from semples_mmseg.models import MatchLoss, PromptLoss, RefineLoss
from semples_mmseg.models.losses.reduction import similarity


def unit(*rows, seed=0):
    """Unit vectors with positive cosines among them."""
    generator = torch.Generator().manual_seed(seed)
    made = torch.rand(*rows, generator=generator, dtype=torch.float64) + 0.1
    return F.normalize(made, dim=-1).requires_grad_(True)


def clamp(value):
    return min(max(value, 1e-4), 0.9999)


def cosines(a, b):
    return [clamp(sum(x * y for x, y in zip(p, q, strict=True))) for p, q in zip(a, b, strict=True)]


def test_match_value():
    v_f, v_b, u_f = unit(5, 8, seed=1), unit(5, 8, seed=2), unit(5, 8, seed=3)
    foreground = cosines(v_f.tolist(), u_f.tolist())
    background = cosines(v_b.tolist(), u_f.tolist())
    expected = sum(
        -(math.log(f) + 2.4 * math.log(1 - b)) for f, b in zip(foreground, background, strict=True)
    )
    assert MatchLoss(2.4)(v_f, v_b, u_f).item() == pytest.approx(expected / 5, rel=1e-12)


def test_prompt_value():
    u_b, v_b, u_f = unit(4, 8, seed=1), unit(4, 8, seed=2), unit(4, 8, seed=3)
    image, text = cosines(u_b.tolist(), v_b.tolist()), cosines(u_b.tolist(), u_f.tolist())
    pairs = list(zip(image, text, strict=True))
    expected = sum(-math.log(i) + 0.02 * math.log(t) for i, t in pairs) / 4
    assert PromptLoss(0.02)(u_b, v_b, u_f).item() == pytest.approx(expected, rel=1e-12)
    alone = sum(0.02 * math.log(t) for _, t in pairs) / 4
    assert PromptLoss(0.02, 0.0)(u_b, v_b, u_f).item() == pytest.approx(alone, rel=1e-12)


def test_refine_value():
    v_f, u_b = unit(3, 8, seed=1), unit(3, 8, seed=2)
    expected = 0.05 * sum(-math.log(1 - c) for c in cosines(v_f.tolist(), u_b.tolist())) / 3
    assert RefineLoss(0.05)(v_f, u_b).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ('loss', 'count'), [(MatchLoss(2.4), 3), (PromptLoss(0.02), 3), (RefineLoss(0.05), 2)]
)
def test_gradients(loss, count):
    inputs = tuple(unit(3, 6, seed=seed) for seed in range(count))
    assert torch.autograd.gradcheck(loss, inputs)


@pytest.mark.parametrize(
    ('loss', 'count'), [(MatchLoss(), 3), (PromptLoss(), 3), (RefineLoss(), 2)]
)
def test_no_pairs_and_one_pair(loss, count):
    empty = [torch.zeros(0, 8) for _ in range(count)]
    assert loss(*empty).item() == 0
    assert torch.isfinite(loss(*[unit(1, 8, seed=s) for s in range(count)]))


def test_clamp_bounds_values_and_stops_gradients():
    a = torch.tensor([[1.0, 0.0], [1.0, 0.0]], requires_grad=True)
    b = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    values = similarity(a, b)
    assert values.tolist() == pytest.approx([0.9999, 1e-4])
    values.sum().backward()
    assert a.grad.abs().sum() == 0


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.float16])
def test_equal_features_cost_what_the_upper_clamp_allows(dtype):
    same, other = torch.eye(8, dtype=dtype)[:3], torch.eye(8, dtype=dtype)[3:6]
    most = -math.log(1 - 0.9999)  # 9.21; a cosine of 1 would cost infinitely much
    tolerance = 1e-6 if dtype == torch.float64 else 1e-3
    assert RefineLoss(1.0)(same, same).item() == pytest.approx(most, rel=tolerance)
    expected = -math.log(1e-4) + 2.4 * most  # no foreground, and all of the class in the background
    assert MatchLoss(2.4)(other, same, same).item() == pytest.approx(expected, rel=tolerance)
    expected = -math.log(0.9999) + 0.02 * math.log(1e-4)
    assert PromptLoss(0.02)(same, same, other).item() == pytest.approx(expected, rel=tolerance)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r'one shape \(P, D\), got \(2, 4\), \(3, 4\)'):
        similarity(torch.zeros(2, 4), torch.zeros(3, 4))
