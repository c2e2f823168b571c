"""Random numbers depend only on the epoch, so that a resumed run draws the same ones."""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import FUNCTIONS
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmseg.registry import HOOKS

from ..utils.errors import Refusal


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Make an epoch depend on nothing but the weights and its number.

    Python, numpy and torch are seeded from (seed, epoch, rank), the order of the images and
    ``SeedEachImage`` from (seed, epoch); ``seed_worker`` seeds the loader workers. A group of
    accumulated gradients ends with the epoch, divided by its own size. A run that is resumed with
    another seed keeps that of its checkpoint.
    """

    # Runs after stages are entered, whose random numbers a resumed run may draw twice or never.
    priority = 'HIGH'

    def before_run(self, runner: Runner) -> None:
        """Store the seed that samplers are made with; resuming may change that of the run."""
        self._seed_of_config = runner.seed

    def before_train(self, runner: Runner) -> None:
        """Refuse a sampler whose epochs have no end."""
        infinite = isinstance(runner.train_dataloader.sampler, InfiniteSampler)
        if infinite and isinstance(runner.train_loop, EpochBasedTrainLoop):
            raise Refusal(
                'train_dataloader.sampler.type=InfiniteSampler never ends an epoch, and '
                "train_cfg counts epochs: set train_dataloader.sampler=dict(type='DefaultSampler', "
                'shuffle=True)'
            )

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed all generators, and begin a group of accumulated gradients."""
        loader: Any = runner.train_loop.dataloader
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            runner.optim_wrapper.initialize_count_status(runner.model, 0, len(loader))
        if getattr(loader.sampler, 'seed', None) == self._seed_of_config:
            loader.sampler.seed = runner.seed
        transforms = [*_seeded_transforms(loader.dataset)]
        for transform in transforms:
            transform.start_epoch(runner.seed or 0, runner.epoch)
        if not transforms:
            loader._iterator = None  # persistent workers would go on with their random numbers
        words = np.random.SeedSequence([runner.seed or 0, runner.epoch, get_rank()])
        seed = int(words.generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)


def _seeded_transforms(dataset: Any) -> Iterator[Any]:
    """Transforms that need seed and epoch, inside wrappers of the data set too."""
    inner = getattr(dataset, 'dataset', None)
    for part in getattr(dataset, 'datasets', [] if inner is None else [inner]):
        yield from _seeded_transforms(part)
    for transform in getattr(getattr(dataset, 'pipeline', None), 'transforms', ()):
        if hasattr(transform, 'start_epoch'):
            yield transform


@FUNCTIONS.register_module()
def seed_worker(worker_id: int, _scope_: str = '') -> None:
    """Seed python and numpy in a loader worker from torch's seed, which changes every epoch.

    MMEngine's own ``worker_init_fn`` gives a worker the same random numbers in every epoch. It
    passes ``_scope_`` where a config inherits from ``'semples_mmseg::...'``.
    """
    del worker_id, _scope_  # the first is part of torch's seed already
    random.seed(torch.initial_seed() % 2**32)
    np.random.seed(torch.initial_seed() % 2**32)
