"""Parts of a list of images."""

import argparse

import pytest

from semples_mmseg.utils.shards import Shard, positions, shard


@pytest.mark.parametrize('total', [1, 2, 3, 7, 12])
def test_parts_are_all_items_once(total):
    items = list(range(10))
    parts = [Shard(number, total).of(items) for number in range(1, total + 1)]
    assert sorted(sum(parts, [])) == items
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_positions_are_those_of_mmengines_indices():
    assert positions(4, None) == [0, 1, 2, 3]
    assert positions(4, 2) == [0, 1]
    assert positions(4, -1) == [3]
    assert positions(4, [3, 0]) == [3, 0]


@pytest.mark.parametrize('text', ['0/2', '3/2', '1', '1/0', '-1/2', 'a/b', '1/2/3', ''])
def test_what_is_no_part_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match='expected PART/PARTS'):
        shard(text)


def test_a_part_is_read_and_shown():
    assert shard('2/8') == Shard(2, 8)
    assert str(Shard(2, 8)) == '2/8'
