"""Random numbers and the order of the images after a resume."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import DefaultSampler
from mmengine.registry import FUNCTIONS
from torch.utils.data import DataLoader

from semples_mmseg.datasets.transforms import SeedEachImage
from semples_mmseg.engine import EpochSeedHook

IMAGES = list(range(20))


def run(seed, epoch, seed_of_checkpoint=None, sampler_seed=None):
    """What an epoch draws: the order of the images, and a number of each generator."""
    sampler = DefaultSampler(IMAGES, seed=seed if sampler_seed is None else sampler_seed)
    loop = SimpleNamespace(dataloader=DataLoader(IMAGES, sampler=sampler))
    runner = SimpleNamespace(seed=seed, epoch=epoch, train_loop=loop)
    hook = EpochSeedHook()
    hook.before_run(runner)
    runner.seed = seed if seed_of_checkpoint is None else seed_of_checkpoint
    hook.before_train_epoch(runner)
    sampler.set_epoch(epoch)
    return list(sampler), random.random(), np.random.rand(), torch.rand(1).item()


def test_an_epoch_draws_the_same_whatever_was_drawn_before():
    first = run(7, 3)
    torch.rand(5), np.random.rand(5), random.random()
    assert run(7, 3) == first
    for other in (run(7, 4), run(8, 3)):
        assert all(a != b for a, b in zip(first, other, strict=True))


def test_a_run_resumed_under_another_seed_goes_on_with_that_of_the_checkpoint():
    assert run(8, 3, seed_of_checkpoint=7) == run(7, 3)


def test_a_sampler_with_a_seed_of_its_own_keeps_it():
    assert run(8, 3, seed_of_checkpoint=7, sampler_seed=1)[0] == run(1, 3)[0]


@pytest.mark.parametrize('seeded', [True, False])
def test_persistent_workers_stay_only_with_a_transform_that_seeds_each_image(seeded):
    class Data(list):
        pipeline = SimpleNamespace(transforms=[SeedEachImage()] if seeded else [])

    loader = DataLoader(Data(IMAGES), num_workers=1, persistent_workers=True)
    loader._iterator = workers = object()
    runner = SimpleNamespace(seed=0, epoch=0, train_loop=SimpleNamespace(dataloader=loader))
    hook = EpochSeedHook()
    hook.before_run(runner)
    hook.before_train_epoch(runner)
    assert loader._iterator is (workers if seeded else None)


def test_a_worker_of_a_config_that_inherits_by_the_name_of_the_package_is_seeded(tmp_path):
    path = tmp_path / 'own.py'
    path.write_text("_base_ = 'semples_mmseg::_base_/datasets/voc12_weak.py'\n")
    init = Config.fromfile(path).train_dataloader.worker_init_fn  # as the Runner builds it
    torch.manual_seed(5)
    FUNCTIONS.get(init.pop('type'))(0, **init)
    assert init and random.random() == random.Random(5).random()
