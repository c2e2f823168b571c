"""Pixel-adaptive refinement: against a loop over pixels, and as a component."""

import math

import numpy as np
import pytest
import torch
from mmseg.registry import TASK_UTILS
from PIL import Image

from semples_mmseg.masks.pamr import PAMR, refine_scores


def by_hand(image, scores, dilations, iterations, bandwidth):
    """The same in plain Python: image (H, W, 3) and scores (H, W, C), nested lists."""
    height, width = len(image), len(image[0])

    def around(y, x):
        for d in dilations:
            for dy in (-d, 0, d):
                for dx in (-d, 0, d):
                    if dy or dx:
                        yield min(max(y + dy, 0), height - 1), min(max(x + dx, 0), width - 1)

    weights = {}
    for y in range(height):
        for x in range(width):
            places = list(around(y, x))
            distance = [0.0] * len(places)
            for c in range(3):
                values = [image[v][u][c] for v, u in places]
                mean = sum(values) / len(values)
                sigma = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
                for n, value in enumerate(values):
                    distance[n] += abs(image[y][x][c] - value) / (bandwidth * (sigma + 1e-8)) / 3
            powers = [math.exp(min(distance) - d) for d in distance]
            weights[y, x] = [(p / sum(powers), place) for p, place in zip(powers, places)]  # noqa: B905
    for _ in range(iterations):
        scores = [
            [
                [sum(a * scores[v][u][c] for a, (v, u) in weights[y, x]) for c in range(2)]
                for x in range(width)
            ]
            for y in range(height)
        ]
    return scores


def test_equals_a_loop_over_pixels():
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, 5, 7), generator=rng).double()
    images[:, :, :3, :4] = 17.0  # flat: here the deviation is 0 for some neighbourhoods
    scores = torch.rand((2, 2, 5, 7), generator=rng, dtype=torch.float64)
    for dilations, bandwidth in (((1, 2, 24), 0.3), ((1,), 0.1)):
        refined = refine_scores(images, scores, dilations, 3, bandwidth)
        for image, score, result in zip(images, scores, refined, strict=True):
            lists = image.permute(1, 2, 0).tolist(), score.permute(1, 2, 0).tolist()
            expected = by_hand(*lists, dilations, 3, bandwidth)
            expected = torch.tensor(expected, dtype=torch.float64).permute(2, 0, 1)
            torch.testing.assert_close(result, expected, atol=1e-9, rtol=1e-9)


def make_sample(tmp_path, classes=(1, 4)):
    """A sample like the writer's, of an image whose right half is bright."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 30, (9, 12, 3), np.uint8)
    pixels[:, 6:] += 150
    Image.fromarray(pixels).save(tmp_path / 'a.png')
    cams = torch.rand((len(classes), 9, 12), generator=torch.Generator().manual_seed(2))
    return dict(
        img_id='a',
        img_path=str(tmp_path / 'a.png'),
        cams=dict(data=cams),
        cam_classes=torch.tensor(classes, dtype=torch.int64),
        background_score=0.45,
    ), pixels


def test_component_labels_by_the_refined_cams_and_the_background_score(tmp_path):
    sample, pixels = make_sample(tmp_path)
    refine = TASK_UTILS.build(dict(type='PAMR', dilations=[1, 2], iterations=2))
    assert not refine.in_workers
    assert refine.settings == dict(type='PAMR', dilations=[1, 2], iterations=2, bandwidth=0.1)
    label = refine(np.zeros((9, 12), np.uint8), sample)
    # here the background takes part as a map of its own
    scores = torch.cat([torch.full((1, 9, 12), 0.45), sample['cams']['data']])[None]
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    refined = refine_scores(image, scores, (1, 2), 2)[0]
    torch.testing.assert_close(refined[0], scores[0, 0], atol=1e-6, rtol=0)
    expected = torch.tensor([0, 2, 5])[refined.argmax(0)].numpy()
    assert label.dtype == np.uint8 and {*np.unique(expected)} == {0, 2, 5}
    np.testing.assert_array_equal(label, expected)


def test_component_without_classes_and_with_bad_options(tmp_path):
    sample, _ = make_sample(tmp_path, ())
    empty = np.zeros((9, 12), np.uint8)
    np.testing.assert_array_equal(PAMR()(empty, sample), empty)
    for options in (dict(dilations=()), dict(dilations=(0, 1)), dict(iterations=0)):
        with pytest.raises(ValueError, match='must be positive'):
            PAMR(**options)
