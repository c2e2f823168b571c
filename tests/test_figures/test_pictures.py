"""Overlays, colours and the picture grid."""

import numpy as np
import pytest

from semples_mmseg.figures import colour_label, overlay_cam, picture_grid

PALETTE = [[0, 0, 0], [200, 0, 0], [0, 200, 0]]


def test_overlay_mixes_image_and_colour():
    image = np.full((2, 2, 3), 100, np.uint8)
    cam = np.array([[0.0, 1.0], [1.0, 0.0]])
    result = overlay_cam(image, cam, opacity=0.5)
    # jet goes from (0, 0, 0.5) to (0.5, 0, 0)
    assert result[0, 0].tolist() == pytest.approx([50, 50, 50 + 127.5 / 2], abs=1)
    assert result[0, 1].tolist() == pytest.approx([50 + 127.5 / 2, 50, 50], abs=1)
    np.testing.assert_array_equal(overlay_cam(image, cam, opacity=0), image)


def test_overlay_shows_the_highest_class_and_resizes():
    image = np.zeros((8, 6, 3), np.uint8)
    both = np.stack([np.full((2, 2), 0.2), np.full((2, 2), 0.9)])
    np.testing.assert_array_equal(overlay_cam(image, both), overlay_cam(image, both[1]))
    none = overlay_cam(image, np.zeros((0, 2, 2)))
    np.testing.assert_array_equal(none, overlay_cam(image, np.zeros((8, 6))))


def test_label_colours():
    result = colour_label(np.array([[0, 1], [2, 255]]), PALETTE)
    assert result.tolist() == [[[0, 0, 0], [200, 0, 0]], [[0, 200, 0], [255, 255, 255]]]


def test_grid_places_every_picture_in_its_cell():
    colours = [np.full((4, 4, 3), v, np.uint8) for v in (10, 20, 30, 40)]
    grid = picture_grid({'left': colours[:2], 'right': colours[2:]}, cell=40)
    assert grid.shape[1] == 4 + 2 * 44
    top = grid.shape[0] - 2 * 44
    centres = [[grid[top + y * 44 + 20, 4 + x * 44 + 20, 0] for x in (0, 1)] for y in (0, 1)]
    assert centres == [[10, 30], [20, 40]]
    assert (grid[:top] < 128).any()  # there is a title
    wide = picture_grid({'a': [np.zeros((10, 40, 3), np.uint8)]}, cell=40)
    assert (wide[-5] == 255).all() and (wide[-24, 6:-6] == 0).all()  # centred, ratio kept
    with pytest.raises(ValueError, match='shorter'):
        picture_grid({'a': colours[:1], 'b': colours[:2]})
