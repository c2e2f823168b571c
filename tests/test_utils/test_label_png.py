"""Palette PNG files."""

import numpy as np
import pytest
from PIL import Image

from semples_mmseg.utils.label_png import full_palette, read_mask, write_mask

# the well-known head of PASCAL VOC's colour map, and its colour of id 255
VOC_COLOURS = [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128], [128, 0, 128]]


def test_palette_is_vocs_where_none_is_given():
    palette = np.reshape(full_palette(), (256, 3))
    assert palette[:6].tolist() == VOC_COLOURS
    assert palette[20].tolist() == [0, 64, 128] and palette[255].tolist() == [224, 224, 192]
    palette = np.reshape(full_palette([[1, 2, 3]]), (256, 3))
    assert palette[0].tolist() == [1, 2, 3] and palette[1].tolist() == [128, 0, 0]


def test_ids_survive_and_colours_are_the_palettes(tmp_path):
    label = np.array([[0, 1, 20], [255, 5, 0]])
    write_mask(tmp_path / 'deep' / 'a.png', label, VOC_COLOURS)
    with Image.open(tmp_path / 'deep' / 'a.png') as image:
        assert image.mode == 'P' and image.size == (3, 2)
        assert np.asarray(image.convert('RGB'))[1, 1].tolist() == [128, 0, 128]
    np.testing.assert_array_equal(read_mask(tmp_path / 'deep' / 'a.png'), label)
    assert [p.name for p in (tmp_path / 'deep').iterdir()] == ['a.png']  # no temporary file


@pytest.mark.parametrize('label', [np.full((2, 2), 256), np.full((2, 2), -1), np.zeros((1, 2, 2))])
def test_what_is_no_mask_is_refused(tmp_path, label):
    with pytest.raises(ValueError, match='ids 0..255'):
        write_mask(tmp_path / 'a.png', label)
    assert not list(tmp_path.iterdir())
