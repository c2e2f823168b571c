"""Augmentation drawn in the loader and computed in batches, against MMPretrain's transforms."""

import copy
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.registry import init_default_scope
from mmseg.registry import TRANSFORMS
from PIL import Image
from torch.utils.data import DataLoader

from semples_mmseg.datasets import WeakVOCDataset
from semples_mmseg.datasets.pipelines import augmented_on_device
from semples_mmseg.engine.epoch_seed_hook import _seeded_transforms
from semples_mmseg.models import CAMDataPreprocessor
from semples_mmseg.models.augmentation import augment

CONFIGS = Path(__file__).parents[2] / 'configs'
PIPELINE = Config.fromfile(CONFIGS / '_base_' / 'datasets' / 'weak_pipelines.py').to_dict()[
    'stage_match_pipeline'
]
AUGMENTATIONS = PIPELINE[2:-1]  # flip, RandAugment, erasing
DRAWS = 600


@pytest.fixture(scope='module')
def photo():
    """Smooth shapes with edges and noise, uint8 BGR (64, 64, 3)."""
    rng = np.random.default_rng(0)
    large = Image.fromarray(rng.integers(20, 200, (5, 5, 3), dtype=np.uint8)).resize((64, 64))
    noise = rng.integers(0, 30, (64, 64, 3))
    pixels = np.array(large).astype(int) + noise
    pixels[20:40, 10:30] += 40
    return pixels.clip(0, 255).astype(np.uint8)


def drawing(photo, transforms):
    """Return a function from a seed to what is deferred and to the image that transforms make."""
    defer = TRANSFORMS.build(dict(type='DeferAugmentation', transforms=transforms))
    pipeline = Compose([TRANSFORMS.build(copy.deepcopy(config)) for config in transforms])

    def draw(seed):
        np.random.seed(seed)
        steps = defer(dict(img=photo))['augmentation']
        np.random.seed(seed)
        return steps, pipeline(dict(img=photo.copy()))['img']

    return draw


@pytest.fixture(scope='module')
def both(photo):
    """Steps of many seeds, the transforms' images, and ours, made in one batch."""
    init_default_scope('mmseg')
    steps, wanted = zip(*map(drawing(photo, AUGMENTATIONS), range(DRAWS)), strict=True)
    batch = torch.from_numpy(photo.transpose(2, 0, 1).copy()).repeat(DRAWS, 1, 1, 1)
    got = augment(batch, steps)
    return steps, np.stack(wanted), got.permute(0, 2, 3, 1).numpy()


def test_each_operation_makes_the_image_that_mmpretrain_makes(both):
    """Same seed, same image: the draws are equal one by one, and so are the distributions."""
    differences = defaultdict(list)
    for steps, wanted, got in zip(*both, strict=True):
        difference = np.abs(wanted.astype(int) - got)
        for name, *numbers in steps:
            if name == 'erase':  # its noise is compared below
                top, left, height, width = numbers[:4]
                difference[top : top + height, left : left + width] = 0
        names = [name for name, *_ in steps if name not in ('flip horizontal', 'erase')]
        if len(names) < 2:
            differences[names[0] if names else 'nothing'].append(difference)
    assert len(differences) == 16  # RandAugment's fifteen, each alone
    for name, found in differences.items():
        # One grey level is the rounding of OpenCV's fixed-point arithmetic.
        assert max(difference.max() for difference in found) <= 1, name
        assert np.mean(found) < 0.2, name


def test_two_operations_in_turn(both):
    """A threshold after another operation turns its rounding into more."""
    for steps, wanted, got in zip(*both, strict=True):
        if not any(name == 'erase' for name, *_ in steps):
            assert (np.abs(wanted.astype(int) - got) > 2).mean() < 0.05, steps


def test_how_often_and_how_strongly(both):
    counts, magnitudes = Counter(), defaultdict(list)
    for steps in both[0]:
        for name, *numbers in steps:
            counts[name] += 1
            magnitudes[name].append(numbers)
    assert counts['flip horizontal'] / DRAWS == pytest.approx(0.5, abs=0.06)
    assert counts['erase'] / DRAWS == pytest.approx(0.25, abs=0.05)
    operations = [name for name in counts if name not in ('flip horizontal', 'erase')]
    # two of fifteen, each left out half of the time
    assert sum(counts[name] for name in operations) / DRAWS == pytest.approx(1, abs=0.1)
    for name in operations:
        assert counts[name] / DRAWS == pytest.approx(1 / 15, abs=0.04), name
    angles = np.array([row[0] for row in magnitudes['Rotate']])
    # m9 of 30 degrees, mstd0.5, either sign
    assert np.abs(angles).mean() == pytest.approx(27, abs=1)
    assert np.abs(angles).std() == pytest.approx(1.4, abs=0.6)
    assert 0.25 < (angles > 0).mean() < 0.75


def test_noise_of_erased_parts(photo, both):
    where = [i for i, steps in enumerate(both[0]) if steps and steps[-1][0] == 'erase']
    pixels = [[], []]
    for index in where:
        top, left, height, width = both[0][index][-1][1:5]
        for some, images in zip(pixels, both[1:], strict=True):
            some.append(images[index, top : top + height, left : left + width].reshape(-1, 3))
    wanted, got = (np.concatenate(some).astype(float) for some in pixels)
    np.testing.assert_allclose(got.mean(0), wanted.mean(0), atol=1)
    np.testing.assert_allclose(got.std(0), wanted.std(0), atol=1)


@pytest.mark.parametrize(
    'config',
    [
        dict(type='RandomFlip', prob=1.0, direction='vertical'),
        dict(type='RandomFlip', prob=1.0, direction='diagonal'),
        dict(
            type='mmpretrain.RandomErasing', erase_prob=1.0, mode='const', fill_color=[1, 50, 200]
        ),
    ],
)
def test_other_flips_and_one_colour(photo, config):
    steps, wanted = drawing(photo, [config])(3)
    got = augment(torch.from_numpy(photo.transpose(2, 0, 1).copy())[None], [steps])
    assert (got[0].permute(1, 2, 0).numpy() == wanted).all() and (wanted != photo).any()


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        (dict(type='PhotoMetricDistortion'), 'PhotoMetricDistortion cannot be computed'),
        (dict(type='mmpretrain.RandomErasing', mode='rand'), 'set fill_std'),
        (
            dict(
                type='mmpretrain.RandAugment',
                policies=[dict(type='mmpretrain.Cutout', shape=3)],
                num_policies=1,
                magnitude_level=1,
            ),
            'Cutout of RandAugment cannot be computed',
        ),
        (
            dict(
                type='mmpretrain.RandAugment',
                policies=[dict(type='mmpretrain.Rotate', angle=3.0)],
                num_policies=1,
                magnitude_level=1,
            ),
            "computed with interpolation='bicubic'",
        ),
    ],
)
def test_what_the_device_cannot_do_is_named(config, message):
    with pytest.raises(ValueError, match=message):
        TRANSFORMS.build(dict(type='DeferAugmentation', transforms=[config]))


def test_the_pipeline_for_the_device():
    seed, load, defer, pack = augmented_on_device(PIPELINE)
    assert seed == dict(type='SeedEachImage') and pack == PIPELINE[-1]
    assert load['type'] == 'LoadRandomCrop' and load['crop']['interpolation'] == 'bicubic'
    assert defer['transforms'] == AUGMENTATIONS
    # without a crop, as in the demo
    load = augmented_on_device([PIPELINE[0], AUGMENTATIONS[0], PIPELINE[-1]])[1]
    assert load == dict(type='LoadCheckedImage')
    with pytest.raises(ValueError, match='begins with LoadCheckedImage.*got RandomFlip'):
        augmented_on_device(PIPELINE[2:])


LABELS = {f'img{n}': ['cat'] for n in range(9)}


@pytest.fixture
def loader(make_voc_tree):
    """Return a function that makes a loader of nine images with so many workers and images each."""
    root = str(make_voc_tree(LABELS))

    def make(workers, batch):
        dataset = WeakVOCDataset(
            data_root=root,
            ann_file='ImageSets/Segmentation/train.txt',
            data_prefix=dict(img_path='JPEGImages'),
            pipeline=augmented_on_device([PIPELINE[0], dict(PIPELINE[1], scale=64), *PIPELINE[2:]]),
        )
        options = dict(collate_fn=default_collate, persistent_workers=workers > 0)
        return DataLoader(dataset, batch, num_workers=workers, **options)

    return make


def epoch(loader, seed, number):
    """Normalised images of an epoch, by id."""
    for transform in _seeded_transforms(loader.dataset):
        transform.start_epoch(seed, number)
    preprocess = CAMDataPreprocessor(augment_on='device')
    images = {}
    for batch in loader:
        assert batch['inputs'].shape[1:] == (3, 64, 64)
        batch = preprocess(batch, training=True)
        for image, sample in zip(batch['inputs'], batch['data_samples'], strict=True):
            images[sample.img_id] = image
    return images


def equal(a, b):
    return {name: torch.equal(a[name], b[name]) for name in a}


def test_an_image_depends_on_seed_epoch_and_name_alone(loader):
    alone, four = loader(0, 1), loader(2, 4)
    first = epoch(alone, 7, 0)
    assert all(equal(first, epoch(four, 7, 0)).values())
    second = epoch(four, 7, 1)  # the same workers
    assert not any(equal(first, second).values())
    assert all(equal(second, epoch(alone, 7, 1)).values())
    assert not any(equal(first, epoch(alone, 8, 0)).values())


def test_augmented_twice_or_not_at_all_is_refused(loader):
    batch = next(iter(loader(0, 2)))
    with pytest.raises(ValueError, match="2 of 2 training images.*augment_on is 'loader'"):
        CAMDataPreprocessor()(batch, training=True)
    for sample in batch['data_samples']:
        del sample.augmentation
    with pytest.raises(ValueError, match='0 of 2 training images'):
        CAMDataPreprocessor(augment_on='device')(batch, training=True)
    assert CAMDataPreprocessor(augment_on='device')(batch)['inputs'].shape == (2, 3, 64, 64)
    with pytest.raises(ValueError, match='augment_on must be one of'):
        CAMDataPreprocessor(augment_on='gpu')


def same_crop(path, seed=0, scale=32, **load):
    """The image of ``LoadRandomCrop``, and that of the transforms it stands for."""
    crop = dict(scale=scale, backend='pillow', interpolation='bicubic')
    results = []
    for pipeline in (
        [dict(type='LoadRandomCrop', crop=crop, **load)],
        [dict(type='LoadCheckedImage', **load), dict(type='mmpretrain.RandomResizedCrop', **crop)],
    ):
        np.random.seed(seed)
        transforms = Compose([TRANSFORMS.build(config) for config in pipeline])
        results.append(transforms(dict(img_path=str(path))))
    assert results[0]['ori_shape'] == results[1]['ori_shape']
    return results[0]['img'].astype(int), results[1]['img'].astype(int)


@pytest.mark.parametrize('orientation', [1, 2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize('mode', ['RGB', 'L', 'P', 'RGBA', 'LA', 'CMYK', 'I;16'])
def test_crops_are_those_of_decode_and_crop(photo, tmp_path, mode, orientation):
    grey = Image.fromarray(photo).convert('L')
    image = {
        'I;16': lambda: Image.fromarray(np.array(grey).astype(np.uint16) * 200),
    }.get(mode, lambda: Image.fromarray(photo).resize((90, 50)).convert(mode))()
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / ('photo.jpg' if mode in ('RGB', 'L', 'CMYK') else 'photo.png')
    image.save(path, exif=exif)
    for seed in range(2):
        for color_type in ('color', 'color_ignore_orientation'):
            got, wanted = same_crop(path, seed, color_type=color_type)
            assert got.shape == (32, 32, 3)
            assert np.abs(got - wanted).max() <= 1


@pytest.mark.parametrize('orientation', [1, 6])
def test_large_crops_are_decoded_at_a_fraction(photo, tmp_path, monkeypatch, orientation):
    path = tmp_path / 'large.jpg'
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(photo).resize((803, 601), Image.Resampling.BICUBIC).save(path, exif=exif)
    decoded = []
    original = Image.Image.crop

    def crop(image, *args, **kwargs):
        decoded.append(image.size)
        return original(image, *args, **kwargs)

    monkeypatch.setattr(Image.Image, 'crop', crop)
    for seed in range(6):
        got, wanted = same_crop(path, seed, scale=100)
        assert np.abs(got - wanted).mean() < 3
    assert {(402, 301), (201, 151)} == set(decoded)


def test_half_a_photo_is_refused_at_every_fraction(photo, tmp_path):
    path = tmp_path / 'half.jpg'
    Image.fromarray(photo).resize((800, 600)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for scale in (32, 500):
        with pytest.raises(ValueError, match='half.jpg cannot be read'):
            same_crop(path, scale=scale)
    with pytest.raises(ValueError, match="backend='pillow' .*, not cv2 and bilinear"):
        TRANSFORMS.build(dict(type='LoadRandomCrop', crop=dict(scale=8)))
