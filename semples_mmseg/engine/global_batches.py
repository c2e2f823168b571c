"""What each process gets of an epoch, so that all together see the batches of a single one."""

from mmengine.dataset import DefaultSampler
from torch.utils.data import DataLoader


def _dropping_sampler(loader: DataLoader) -> DefaultSampler | None:
    """The sampler, if it deals out images and what does not fill a batch is dropped."""
    sampler = loader.sampler
    return sampler if loader.drop_last and isinstance(sampler, DefaultSampler) else None


def images_each(loader: DataLoader) -> int:
    """Images of an epoch that one process has for its batches, a last incomplete one included."""
    sampler = _dropping_sampler(loader)
    if sampler is not None:
        return len(sampler.dataset) // sampler.world_size
    return len(loader.sampler)  # type: ignore[arg-type]


def keep_whole_batches(loader: DataLoader) -> None:
    """Let the processes have the whole batches of an epoch and nothing else.

    MMEngine's ``DefaultSampler`` deals out the images one by one, so the n-th batches of all
    processes together are the n-th batch of a single process. The end of the epoch is another
    matter: images are repeated until each process has as many as the others, and with
    ``drop_last`` the repeated ones can complete a batch that a single process drops.

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
