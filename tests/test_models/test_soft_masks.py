"""Masks and label maps against loops over the formulas."""

import torch

from semples_mmseg.models.soft_masks import label_map, min_max, soft_masks


def test_min_max_value_and_gradient_through_both_ends():
    maps = torch.rand(2, 3, 4, dtype=torch.float64, requires_grad=True)
    scaled = min_max(maps, 0.1)
    for got, given in zip(scaled, maps, strict=True):
        low, high = given.min(), given.max()
        torch.testing.assert_close(got, (given - low) / (high - low + 0.1))
    scaled.sum().backward()
    flat = maps.grad.flatten(1)
    # Minimum and maximum are not detached: their pixels carry more than 1 / range.
    ends = maps.detach().flatten(1)
    plain = 1 / (ends.amax(1) - ends.amin(1) + 0.1)
    assert not torch.allclose(flat[0, ends[0].argmax()], plain[0])
    assert torch.autograd.gradcheck(lambda m: min_max(m, 0.1), (maps,))


def test_soft_masks_upsample_with_corners_aligned():
    cams = torch.tensor([[[0.0, 1.0], [2.0, 3.0]]], dtype=torch.float64)
    got = soft_masks(cams, (3, 3), eps=1e-4)
    large = torch.tensor([[0, 0.5, 1], [1, 1.5, 2], [2, 2.5, 3]], dtype=torch.float64)
    torch.testing.assert_close(got[0, 0], large / (3 + 1e-4))
    assert soft_masks(torch.zeros(1, 4, 4), (8, 8), 0.1).abs().sum() == 0


def test_label_map_ties_go_to_background():
    cams = torch.tensor([[[0.4, 0.5, 0.9]], [[0.6, 0.5, 0.2]]])
    labels = label_map(cams, torch.tensor([2, 7]), background_score=0.5)
    assert labels.tolist() == [[8, 0, 3]]
    assert label_map(torch.zeros(0, 2, 2), torch.zeros(0).long(), 0.5).tolist() == [[0, 0], [0, 0]]
