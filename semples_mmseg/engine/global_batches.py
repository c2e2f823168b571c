"""Sharing images so that all processes together see the batches of a single process."""

from mmengine.dataset import DefaultSampler
from torch.utils.data import DataLoader


def steps_of_epoch(loader: DataLoader, size: int) -> int:
    """Steps of an epoch with ``size`` images a step of this process."""
    sampler = loader.sampler
    if loader.drop_last and isinstance(sampler, DefaultSampler):
        return len(sampler.dataset) // (size * sampler.world_size)
    images = len(sampler)  # type: ignore[arg-type]
    return images // size if loader.drop_last else -(-images // size)


def keep_whole_batches(loader: DataLoader) -> None:
    """Give the processes only whole batches of an epoch, where incomplete ones are dropped.

    MMEngine's ``DefaultSampler`` distributes images one by one, so the n-th batches of all
    processes together are the n-th batch of a single process. At the end of an epoch it repeats
    images until each process has the same number; they can complete a batch that a single process
    drops.
    """
    sampler, size = loader.sampler, loader.batch_size
    if loader.drop_last and size and isinstance(sampler, DefaultSampler):
        sampler.round_up = False
        sampler.num_samples = steps_of_epoch(loader, size) * size
        sampler.total_size = sampler.num_samples * sampler.world_size
