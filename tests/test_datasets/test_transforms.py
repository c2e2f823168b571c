"""Packing, the scales of CAM inference, and the DeiT-style augmentation of the configs."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmseg.registry import TRANSFORMS
from PIL import Image
from torch.utils.data import DataLoader

from semples_mmseg.datasets.transforms import PackWeakInputs
from semples_mmseg.engine.epoch_seed_hook import _seeded_transforms

CONFIG = Path(__file__).parents[2] / 'configs/_base_/datasets/voc12_weak.py'


def random_image(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def results(**kwargs):
    img = kwargs.pop('img', random_image(10, 14))
    return dict(
        img=img,
        img_path='x.jpg',
        img_id='x',
        ori_shape=img.shape[:2],
        # mmpretrain's crop leaves the channels in here.
        img_shape=img.shape,
        image_labels=np.array([0, 1], np.float32),
        **kwargs,
    )


def test_pack():
    mask = np.arange(140).reshape(10, 14).astype(np.uint8)
    flip = dict(flip=True, flip_direction='horizontal')
    packed = PackWeakInputs()(results(gt_seg_map=mask, seg_map_path='x.png', **flip))
    sample = packed['data_samples']
    assert packed['inputs'].dtype == torch.uint8 and packed['inputs'].is_contiguous()
    assert np.array_equal(packed['inputs'].numpy(), random_image(10, 14).transpose(2, 0, 1))
    assert sample.image_labels.dtype == torch.float32 and sample.image_labels.tolist() == [0, 1]
    assert sample.gt_sem_seg.data.dtype == torch.int64
    assert np.array_equal(sample.gt_sem_seg.data.numpy(), mask[None])
    assert sample.metainfo == dict(
        img_path='x.jpg',
        img_id='x',
        seg_map_path='x.png',
        ori_shape=(10, 14),
        img_shape=(10, 14),
        **flip,
    )


def test_scales_are_pil_bicubic_of_the_uint8_image():
    img = random_image(33, 47)
    packed = PackWeakInputs(scales=(1.0, 0.8, 1.2))(results(img=img))
    one, small, large = (x.numpy().transpose(1, 2, 0) for x in packed['inputs'])
    assert np.array_equal(one, img)
    assert small.shape == (26, 38, 3) and large.shape == (40, 56, 3)
    # Channel by channel, so neither the order of channels nor their number matters.
    for got in (small, large):
        size = got.shape[1::-1]
        for c in range(3):
            channel = Image.fromarray(np.ascontiguousarray(img[..., c]))
            resized = channel.resize(size, Image.Resampling.BICUBIC)
            assert np.array_equal(got[..., c], np.array(resized))
    assert packed['data_samples'].img_shape == (33, 47)


def test_scales_are_positive_and_leave_a_pixel():
    packed = PackWeakInputs(scales=(0.3,))(results(img=random_image(1, 3)))
    assert packed['inputs'][0].shape == (3, 1, 1)
    for scales in ((), (1.0, 0.0)):
        with pytest.raises(ValueError, match='scales have to be positive'):
            PackWeakInputs(scales=scales)


def match_pipeline():
    """The training augmentation of the configs, without loading."""
    return Config.fromfile(CONFIG).stage_match_pipeline[1:]


def test_pixels_moved_in_are_the_mean_colour():
    cfg = next(t for t in match_pipeline() if t['type'] == 'RandAugment')
    augment = TRANSFORMS.build(cfg)
    np.random.seed(0)
    for transform in augment.transforms:
        if type(transform).__name__ in ('Rotate', 'Shear', 'Translate'):
            transform.prob = 1.0
            out = transform(dict(img=np.full((64, 64, 3), 255, np.uint8)))['img']
            corners = [tuple(out[y, x].tolist()) for y in (0, -1) for x in (0, -1)]
            assert (104, 116, 124) in corners, (transform, corners)


def test_fast_crops_are_those_of_pillow():
    """The same draws, so their distribution is unchanged; the values differ by rounding."""
    config = Config.fromfile(CONFIG)
    fast, slow = TRANSFORMS.build(config.random_crop), TRANSFORMS.build(config.pillow_crop)
    coarse = np.random.default_rng(0).integers(0, 256, (2, 30, 40, 3), np.uint8)
    for size in ((500, 375), (333, 500), (90, 700)):
        for pixels in coarse:
            img = cv2.resize(pixels, size)[:, ::-1]  # a view
            found = []
            for transform in (fast, slow):
                np.random.seed(size[0])
                found.append(transform(dict(img=img))['img'].astype(int))
            assert found[0].shape == (224, 224, 3)
            difference = np.abs(found[0] - found[1])
            assert difference.max() <= 3 and 0 < difference.mean() < 0.05
            assert (difference > 1).mean() < 0.001


class Numbers(BaseDataset):
    """Nine items without files."""

    def load_data_list(self):
        return [dict(img_id=f'{n}') for n in range(9)]


def test_an_image_is_seeded_by_seed_epoch_and_name_alone():
    pipeline = [dict(type='SeedEachImage'), lambda results: np.random.randint(2**31)]

    def epoch(loader, seed, number):
        for transform in _seeded_transforms(loader.dataset):
            transform.start_epoch(seed, number)
        return torch.cat(list(loader)).tolist()

    alone = DataLoader(Numbers(pipeline=pipeline))
    four = DataLoader(Numbers(pipeline=pipeline), 4, num_workers=2, persistent_workers=True)
    first, second = epoch(four, 7, 0), epoch(four, 7, 1)  # of the same workers
    assert first == epoch(alone, 7, 0) and second == epoch(alone, 7, 1)
    assert len({*first, *second, *epoch(alone, 8, 0)}) == 27
