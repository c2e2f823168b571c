"""Any number of processes trains the same model, and another number goes on with it."""

import itertools
import shutil

import pytest
from processes import draw_images, launch, steps, tool, weights, write_config

# AdamW, at about the published rates, does not see the scale of a gradient; SGD does. Stage 0 has
# SGD for another reason, too: the biases of keys have no effect behind a softmax and so no
# gradient, and Adam makes steps of the rounding that is left in its place.
SGD = dict(optimizer=dict(_delete_=True, type='SGD', lr=0.1, momentum=0.9))
# Three steps an epoch: of 23 images the five that are left over are dropped.
STAGES = [
    dict(name='classify', epochs=3, batch_size=6, optim_wrapper=SGD),
    dict(name='match', epochs=3, batch_size=6),
    dict(name='prompt', epochs=3, batch_size=6, optim_wrapper=dict(optimizer=dict(lr=2e-2))),
    dict(
        name='refine',
        epochs=3,
        batch_size=6,
        optim_wrapper=SGD,
        restore=dict(mask_generator='match'),
    ),
    dict(name='joint', epochs=2, batch_size=6),
]
FILES = [f'{stage["name"]}.pth' for stage in STAGES]
IN_PROMPT = 8
"""Epochs done in the middle of the stage prompt."""


def write(folder, data):
    saving = dict(checkpoint=dict(interval=IN_PROMPT))
    return write_config(folder, data, STAGES, default_hooks=saving)


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
            config = write(tmp_path_factory.mktemp(f'by{number}'), data)
            launch(number, tool, 'train.py', config)
            runs[number] = config.parent / 'run'
        return runs[number]

    return run


def largest_difference(run, other, name):
    a, b = weights(run / name), weights(other / name)
    assert a.keys() == b.keys()
    return max(float((a[key] - b[key]).abs().max()) for key in a)


def largest_change(run, before, after):
    """By how much a stage moves a weight."""
    a, b = weights(run / before), weights(run / after)
    return max(float((a[key] - b[key]).abs().max()) for key in a)


@pytest.mark.parametrize('number', [2, 3])
def test_processes_train_what_one_trains(train, number):
    alone, together = train(1), train(number)
    expected = steps(alone)
    assert len(expected) == 42
    got = [steps(together, rank) for rank in range(number)]
    for at, one in enumerate(expected):
        for other in got:
            assert other[at]['losses'] == pytest.approx(one['losses'], rel=1e-6, abs=1e-6), at
        assert sum(other[at]['pairs'] for other in got) == one['pairs']
    # Processes that had no pairs where others had.
    assert any(
        0 in pairs and any(pairs)
        for pairs in zip(*([step['pairs'] for step in other] for other in got), strict=True)
    )
    for before, after in itertools.pairwise(FILES):
        assert largest_change(alone, before, after) > 1e-4  # far more than they may differ
    for name in FILES:
        assert largest_difference(alone, together, name) <= 1e-6, name


def test_another_number_of_processes_goes_on(train, data, tmp_path):
    """What two processes have saved in the middle of prompt, three resume."""
    config = write(tmp_path, data)
    run = tmp_path / 'run'
    run.mkdir()
    for name in (f'epoch_{IN_PROMPT}.pth', 'classify.pth'):  # refine starts from the latter
        shutil.copy(train(2) / name, run)
    (run / 'last_checkpoint').write_text(str(run / f'epoch_{IN_PROMPT}.pth'))
    launch(3, tool, 'train.py', config, '--resume')
    assert steps(run)[0]['step'] == 3 * IN_PROMPT
    for name in FILES[2:]:
        assert largest_difference(train(1), run, name) <= 1e-6, name
