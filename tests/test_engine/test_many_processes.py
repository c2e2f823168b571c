"""Any number of processes trains the same model, and another number goes on with it."""

import shutil

import pytest
from processes import draw_images, launch, steps, tool, weights, write_config

# Three steps an epoch: of 23 images the five that are left over are dropped.
STAGES = [
    dict(name='classify', epochs=7, batch_size=6),
    dict(name='match', epochs=7, batch_size=6, optim_wrapper=dict(optimizer=dict(lr=5e-3))),
    dict(name='prompt', epochs=7, batch_size=6, optim_wrapper=dict(optimizer=dict(lr=2e-2))),
    dict(name='refine', epochs=7, batch_size=6, restore=dict(mask_generator='match')),
    dict(name='joint', epochs=7, batch_size=6),
]
FILES = [f'stage{n}_{stage["name"]}.pth' for n, stage in enumerate(STAGES, 1)]
IN_PROMPT = 18
"""Epochs done in the middle of the stage prompt."""


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """23 images."""
    root = tmp_path_factory.mktemp('data')
    draw_images(root, 23)
    return root


@pytest.fixture(scope='module')
def train(tmp_path_factory, data):
    """Return a function that trains all stages in so many processes, once each."""
    runs = {}

    def run(number):
        if number not in runs:
            config = write_config(tmp_path_factory.mktemp(f'by{number}'), data, STAGES)
            launch(number, tool, 'train.py', config)
            runs[number] = config.parent / 'run'
        return runs[number]

    return run


def largest_difference(run, other, name):
    a, b = weights(run / name), weights(other / name)
    assert a.keys() == b.keys()
    return max(float((a[key] - b[key]).abs().max()) for key in a)


@pytest.mark.parametrize('number', [2, 3])
def test_processes_train_what_one_trains(train, number):
    alone, together = train(1), train(number)
    expected = steps(alone)
    assert len(expected) == 5 * 21
    for rank in range(number):
        got = steps(together, rank)
        for one, other in zip(expected, got, strict=True):
            assert other['losses'] == pytest.approx(one['losses'], rel=1e-5, abs=1e-6), one['step']
        for stage in range(5):
            losses = [step['losses']['loss'] for step in expected[21 * stage : 21 * stage + 21]]
            assert min(losses) + 1e-3 < max(losses)  # something was to be learnt
            assert 0 in [step['pairs'] for step in got[21 * stage : 21 * stage + 21]]
    for name in FILES:
        assert largest_difference(alone, together, name) <= 1e-6, name


@pytest.mark.parametrize(('saved_by', 'resumed_by'), [(2, 1), (1, 2)])
def test_another_number_of_processes_goes_on(train, data, tmp_path, saved_by, resumed_by):
    config = write_config(tmp_path, data, STAGES)
    run = tmp_path / 'run'
    run.mkdir()
    shutil.copy(train(saved_by) / f'epoch_{IN_PROMPT}.pth', run)
    (run / 'last_checkpoint').write_text(str(run / f'epoch_{IN_PROMPT}.pth'))
    launch(resumed_by, tool, 'train.py', config, '--resume')
    assert steps(run)[0]['step'] == 3 * IN_PROMPT
    for name in FILES[2:]:
        assert largest_difference(train(1), run, name) <= 1e-6, name
