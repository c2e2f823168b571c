"""The harness that tries bad files on loaders."""

import os
import random

from harness import Limits, run


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
