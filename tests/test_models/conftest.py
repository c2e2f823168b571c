"""Fresh copies of the tiny configs."""

import copy
from typing import Any

import pytest
import torch
from mmseg.structures import SegDataSample
from tiny import TINY_CLIP, TINY_GENERATOR, TINY_SEMPLES

import semples_mmseg  # noqa: F401


@pytest.fixture(autouse=True)
def fixed_seed() -> None:
    """Give every test the same random numbers, whichever tests ran before it."""
    torch.manual_seed(0)


@pytest.fixture
def tiny_clip() -> dict[str, Any]:
    """An open_clip config of a CLIP with a small vision transformer."""
    return copy.deepcopy(TINY_CLIP)


@pytest.fixture
def tiny_generator() -> dict[str, Any]:
    """Config of a WeakTr generator for three classes."""
    return copy.deepcopy(TINY_GENERATOR)


@pytest.fixture
def tiny_semples() -> dict[str, Any]:
    """Config of a whole SemPLeS segmentor for three classes."""
    return copy.deepcopy(TINY_SEMPLES)


@pytest.fixture
def make_samples():
    """Return a function from rows of labels to data samples."""

    def make(*labels: list[int], size: tuple[int, int] = (64, 64)) -> list[SegDataSample]:
        samples = []
        for row in labels:
            sample = SegDataSample(metainfo=dict(ori_shape=size))
            sample.image_labels = torch.tensor(row, dtype=torch.float32)
            samples.append(sample)
        return samples

    return make
