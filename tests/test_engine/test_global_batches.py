"""What the processes get of an epoch, counted out."""

import pytest
from mmengine.dataset import DefaultSampler
from torch.utils.data import DataLoader, SequentialSampler

from semples_mmseg.engine.processes import keep_whole_batches, steps_of_epoch


def batches(number, images, drop_last=True, batch_size=6):
    """The batches of an epoch, each of all processes together, after the hook's change."""
    together = []
    for rank in range(number):
        data = range(images)
        sampler = DefaultSampler(data, shuffle=True, seed=3)
        # As it is made in one of several processes.
        sampler.rank, sampler.world_size = rank, number
        sampler.num_samples = -(-images // number)
        sampler.total_size = sampler.num_samples * number
        loader = DataLoader(
            data, batch_size // number, sampler=sampler, drop_last=drop_last, collate_fn=list
        )
        steps = steps_of_epoch(loader, loader.batch_size)
        keep_whole_batches(loader)
        if drop_last:
            assert steps == len(loader)
        together.append(list(loader))
    return [sorted(sum(parts, [])) for parts in zip(*together, strict=True)]


@pytest.mark.parametrize('images', [6, 11, 12, 13, 16, 17, 23])
@pytest.mark.parametrize('number', [2, 3, 6])
def test_batches_are_those_of_one_process(number, images):
    assert batches(number, images) == batches(1, images)
    assert len(batches(1, images)) == images // 6


def test_without_drop_last_every_image_comes():
    got = batches(2, 11, drop_last=False)
    assert set(sum(got, [])) == set(range(11)) and len(sum(got, [])) == 12


def test_other_samplers_are_left_alone():
    loader = DataLoader(range(9), 2, sampler=SequentialSampler(range(9)), drop_last=True)
    keep_whole_batches(loader)
    assert steps_of_epoch(loader, 2) == len(loader) == 4
