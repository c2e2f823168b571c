"""Sharing images so that all processes together see the batches of a single process."""

from mmengine.dataset import DefaultSampler
from torch.utils.data import DataLoader


def _dropping_sampler(loader: DataLoader) -> DefaultSampler | None:
    """The sampler, if it distributes images and incomplete batches are dropped."""
    sampler = loader.sampler
    return sampler if loader.drop_last and isinstance(sampler, DefaultSampler) else None


def images_each(loader: DataLoader) -> int:
    """Images of one process in an epoch, with an incomplete last batch."""
    sampler = _dropping_sampler(loader)
    if sampler is not None:
        return len(sampler.dataset) // sampler.world_size
    return len(loader.sampler)  # type: ignore[arg-type]


def keep_whole_batches(loader: DataLoader) -> None:
    """Give the processes only whole batches of an epoch.

    MMEngine's ``DefaultSampler`` distributes images one by one, so the n-th batches of all
    processes together are the n-th batch of a single process. At the end of an epoch it repeats
    images until each process has the same number; with ``drop_last`` they can complete a batch
    that a single process drops.

    Args:
        loader: Of this process, with its share of the batch size; its sampler is changed. Without
            ``drop_last``, or with another sampler, it stays as it is.
    """
    sampler, size = _dropping_sampler(loader), loader.batch_size
    if sampler is None or size is None:
        return
    each = len(sampler.dataset) // (size * sampler.world_size) * size
    sampler.round_up = False
    sampler.num_samples, sampler.total_size = each, each * sampler.world_size
