"""A fixed corpus of bad files for every loader, and the harness that tries them."""

import os
import random

import checkpoint_inputs as inputs
import pytest
import torch
from fuzz_checkpoints import LIMITS, load_as_tools, loaders, try_loader
from harness import Limits, run
from hostile_pickles import hostile, swollen

from semples_mmseg.checkpoints import CheckpointError

LARGE = Limits(memory=1 << 30)


@pytest.mark.parametrize('name', list(loaders()))
def test_bad_files_are_loaded_or_refused(name):
    found = try_loader(name, 60, seed=1)
    assert not found.bugs, found.bugs[:5]
    assert found.total() == 60 and len(found) > 1


@pytest.mark.parametrize('wrap', [hostile, swollen])
@pytest.mark.parametrize('as_archive', [True, False])
def test_no_hostile_pickle_gets_through(wrap, as_archive):
    whole = inputs.written(inputs.checkpoint(False))
    pickles = wrap()
    numbers = iter(range(len(pickles)))

    def make(rng):
        pickled = pickles[next(numbers)]
        return inputs.with_pickle(whole, pickled) if as_archive else pickled

    found = run('hostile', make, load_as_tools, (CheckpointError,), LIMITS, inputs=len(pickles))
    assert not found.bugs, found.bugs[:5]
    assert found == {'CheckpointError': len(pickles)}


def test_no_file_takes_twice_the_memory_of_a_whole_one():
    """Views without end, entries in one place, compression."""
    whole = inputs.written(dict(state_dict=dict(w=torch.zeros(8 << 20))))  # 32 MiB
    peak = run('whole', lambda _: whole, load_as_tools, (), LARGE, inputs=1).peak
    assert len(whole) <= peak < 1.5 * len(whole)
    bombs = inputs.bombs(len(whole))
    numbers = iter(bombs)
    limits = Limits(memory=2 * peak, cpu=20)
    found = run(
        'bombs', lambda _: next(numbers), load_as_tools, (CheckpointError,), limits,
        inputs=len(bombs),
    )  # fmt: skip
    assert not found.bugs, found.bugs
    assert found == {'CheckpointError': len(bombs)}


def test_the_harness_sees_what_it_is_for(tmp_path):
    def crash():
        os.kill(os.getpid(), 11)

    def hang():
        while True:
            pass

    def fill():
        return [os.urandom(1 << 20) for _ in range(32)]

    def fail(text):
        raise ValueError(text)

    acts = {
        'crash': crash,
        'hang': hang,
        'memory': fill,
        'code ran': lambda: os.system('true'),
        'other error': lambda: {}['x'],
        'unnamed': lambda: fail('no'),
        'ValueError': lambda: fail('input'),
        'loaded': lambda: None,
    }

    def make(rng: random.Random) -> bytes:
        return rng.choice(list(acts)).encode()

    limits = Limits(memory=16 << 20, cpu=0.3)
    found = run(
        'acts', make, lambda path: acts[path.read_text()](), (ValueError,), limits, inputs=40
    )
    assert found.keys() == acts.keys() and found.total() == 40
    assert len(found.bugs) == 40 - found['ValueError'] - found['loaded']
    number = found.bugs[0][0]
    again = run(
        'acts', make, lambda path: acts[path.read_text()](), (ValueError,), limits, inputs=[number]
    )
    assert again.bugs[0][1].split(':')[0] == found.bugs[0][1].split(':')[0]
