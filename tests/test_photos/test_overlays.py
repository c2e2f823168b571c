"""Masks over their photos."""

import numpy as np
from PIL import Image

from semples_mmseg.photos.overlays import overlay_mask, write_overlay

PALETTE = [(0, 0, 0), (200, 0, 100)]


def test_objects_are_coloured_and_the_background_stays():
    photo = np.full((2, 2, 3), 100, np.uint8)
    painted = overlay_mask(photo, np.array([[0, 1], [0, 0]], np.uint8), PALETTE)
    assert painted[0, 1].tolist() == [155, 45, 100]
    assert (painted[[0, 1, 1], [0, 0, 1]] == 100).all()


def test_a_large_photo_gives_a_smaller_jpeg(tmp_path):
    label = np.ones((20, 3200), np.uint8)
    write_overlay(tmp_path, 'a/b.c', np.zeros((20, 3200, 3), np.uint8), label, PALETTE)
    path = tmp_path / 'a/b.c.jpg'
    with Image.open(path) as image:
        assert image.format == 'JPEG' and image.size == (1600, 10)
        assert np.abs(np.asarray(image).astype(int) - (110, 0, 55)).max() < 4
