"""The pseudo mask writer: label maps, refinement, files."""

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image

from semples_mmseg.models.soft_masks import label_map
from semples_mmseg.utils.label_png import read_mask

META = dict(classes=('background', 'cat', 'dog'), palette=[[9, 9, 9], [1, 2, 3], [4, 5, 6]])


def make_sample(seed, classes=(0, 1)):
    rng = torch.Generator().manual_seed(seed)
    sample = SegDataSample(metainfo=dict(img_id=f'image_{seed}'))
    sample.cams = PixelData(data=torch.rand((len(classes), 4, 5), generator=rng))
    sample.set_data(dict(cam_classes=torch.tensor(classes, dtype=torch.int64)))
    sample.pred_sem_seg = PixelData(data=label_map(sample.cams.data, sample.cam_classes, 0.5)[None])
    sample.set_metainfo(dict(background_score=0.5))
    return sample


def expected_label(sample):
    scores = torch.cat([torch.full((1, 4, 5), 0.5), sample.cams.data])
    ids = torch.cat([torch.zeros(1, dtype=torch.int64), sample.cam_classes + 1])
    return ids[scores.argmax(0)].numpy()


def write(folder, samples, **options):
    evaluator = Evaluator(dict(type='mmseg.PseudoMaskWriter', out_dir=str(folder), **options))
    evaluator.dataset_meta = META
    evaluator.process(samples)
    return evaluator.evaluate(len(samples))


def test_masks_are_the_label_maps_of_the_cams(tmp_path):
    samples = [make_sample(0), make_sample(1, (1,)), make_sample(2, ())]
    assert write(tmp_path / 'm', samples) == dict(masks=3)
    for sample in samples:
        path = tmp_path / 'm' / f'{sample.img_id}.png'
        np.testing.assert_array_equal(read_mask(path), expected_label(sample))
        with Image.open(path) as image:
            assert image.getpalette()[:9] == [9, 9, 9, 1, 2, 3, 4, 5, 6]


def test_masks_of_background_alone_are_said(tmp_path, caplog):
    samples = [make_sample(0), make_sample(1), make_sample(2, ()), make_sample(3)]
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    write(tmp_path, samples)
    assert 'background alone' not in caplog.text
    for sample in samples[:2]:
        sample.pred_sem_seg.data[:] = 0
    write(tmp_path, samples)
    logger.removeHandler(caplog.handler)
    assert '2 of 3 images with classes have a mask of background alone' in caplog.text


class Shift:
    """A refinement that turns class 1 into 2."""

    in_workers = False

    def __call__(self, label, sample):
        assert sample['img_id'] == 'image_0' and label.dtype == np.uint8
        return np.where(label == 1, 2, label)


def test_refinement_is_applied(tmp_path):
    label = expected_label(make_sample(0))
    write(tmp_path, [make_sample(0)], refine=Shift())
    refined = read_mask(tmp_path / 'image_0.png')
    assert 1 in label
    np.testing.assert_array_equal(refined, np.where(label == 1, 2, label))


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def with_image(sample, folder):
    """Give a sample an image file of random colours."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    path = folder / f'{sample.img_id}.bmp'
    Image.fromarray(pixels).save(path)
    sample.set_metainfo(dict(img_path=str(path)))
    return sample


def test_workers_write_the_same_masks(tmp_path):
    pytest.importorskip('pydensecrf.densecrf')
    samples = [with_image(make_sample(i), tmp_path) for i in range(7)]
    refine = dict(type='DenseCRF', preset='coco', bilateral_srgb=200)
    inline = write(tmp_path / 'inline', samples, refine=refine, num_workers=0)
    pooled = write(tmp_path / 'pooled', samples, refine=refine, num_workers=1)
    assert pooled == inline and inline['masks'] == 7
    assert files(tmp_path / 'inline') == files(tmp_path / 'pooled')
    assert len(files(tmp_path / 'inline')) == 7
    write(tmp_path / 'plain', samples)
    assert files(tmp_path / 'plain') != files(tmp_path / 'inline')  # there was something to refine
