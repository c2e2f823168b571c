"""Predictions as PNGs: their names and colours."""

import numpy as np
import pytest
import torch
from mmseg.registry import METRICS
from PIL import Image


def sample(path, **known):
    label = torch.arange(6).view(1, 2, 3)
    return dict(img_path=path, pred_sem_seg=dict(data=label), **known)


def writer(folder, meta, **options):
    made = METRICS.build(dict(type='PredictionWriter', out_dir=str(folder), **options))
    made.dataset_meta = meta
    return made


def test_names_keep_the_folders_of_the_images(tmp_path):
    made = writer(tmp_path, {}, img_dir='data/images')
    made.process(None, [sample(f'data/images/{name}.v2.jpg') for name in ('a/x', 'b/x', 'x')])
    made.process(None, [sample('anything.jpg', img_id='deep/er/y'), sample('elsewhere/z.png')])
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob('*.png'))
    assert found == ['a/x.v2.png', 'b/x.v2.png', 'deep/er/y.png', 'x.v2.png', 'z.png']
    made.process(None, [sample('elsewhere/z.png')])  # once more, as samplers pad the last batch
    with pytest.raises(ValueError, match=r'elsewhere/z.png and other/z.png are the same file'):
        made.process(None, [sample('other/z.png')])


@pytest.mark.parametrize(
    ('meta', 'colours'),
    [
        (dict(palette=[[9, 8, 7], [6, 5, 4]]), [[9, 8, 7], [6, 5, 4], [0, 128, 0]]),
        (dict(palette=None), [[0, 0, 0], [128, 0, 0], [0, 128, 0]]),
        ({}, [[0, 0, 0], [128, 0, 0], [0, 128, 0]]),
    ],
)
def test_colours_are_the_data_sets_or_vocs(tmp_path, meta, colours):
    writer(tmp_path, meta).process(None, [sample('a.jpg')])
    with Image.open(tmp_path / 'a.png') as image:
        np.testing.assert_array_equal(image, [[0, 1, 2], [3, 4, 5]])
        assert np.reshape(image.getpalette(), (-1, 3))[:3].tolist() == colours
