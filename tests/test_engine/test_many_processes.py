"""Any number of processes trains the same model, and another number goes on with it."""

import copy
import itertools
import shutil

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from processes import draw_images, launch, steps, tool, weights, write_config
from tiny import TINY_SEMPLES

# AdamW, at about the published rates, does not see the scale of a gradient; SGD does. Stage 0 has
# SGD for another reason, too: the biases of keys have no effect behind a softmax and so no
# gradient, and Adam makes steps of the rounding that is left in its place.
SGD = dict(optimizer=dict(_delete_=True, type='SGD', lr=0.1, momentum=0.9))
# Three steps an epoch: of 23 images the five that are left over are dropped.
STAGES = [
    dict(name='classify', epochs=3, batch_size=6, optim_wrapper=SGD),
    dict(name='match', epochs=2, batch_size=6),
    dict(name='prompt', epochs=2, batch_size=6, optim_wrapper=dict(optimizer=dict(lr=2e-2))),
    dict(
        name='refine',
        epochs=2,
        batch_size=6,
        optim_wrapper=SGD,
        restore=dict(mask_generator='match'),
    ),
    dict(name='joint', epochs=1, batch_size=6),
]
FILES = [f'{stage["name"]}.pth' for stage in STAGES]
KEY = 'mask_generator.backbone.cls_token'
IN_PROMPT = 6
"""Epochs done in the middle of the stage prompt."""


def largest_difference(path, other):
    a, b = weights(path), weights(other)
    assert a.keys() == b.keys()
    return max(float((a[key] - b[key]).abs().max()) for key in a)


def test_any_number_of_processes_trains_what_one_trains(tmp_path):
    """Two train all stages; what they have saved in the middle of prompt, three resume.

    From weights of another run, on two data sets, one of which is repeated.
    """
    draw_images(tmp_path / 'data', 23)

    def write(name):
        changes = dict(checkpoint=dict(interval=IN_PROMPT))
        path = write_config(tmp_path / name, tmp_path / 'data', STAGES, default_hooks=changes)
        config = Config.fromfile(path)
        whole = config.train_dataloader.dataset
        parts = [dict(whole, indices=[*range(19)]), dict(whole, indices=[21, 22])]
        parts[1] = dict(type='RepeatDataset', dataset=parts[1], times=2)
        config.train_dataloader.dataset = dict(type='ConcatDataset', datasets=parts)
        config.load_from = str(tmp_path / 'start.pth')
        config.dump(path)
        return path

    torch.manual_seed(9)
    start = MODELS.build(copy.deepcopy(TINY_SEMPLES)).state_dict()
    start[KEY] += 1
    torch.save(dict(state_dict=start), tmp_path / 'start.pth')

    launch(1, tool, 'train.py', write('one'))
    launch(2, tool, 'train.py', write('two'))
    alone, together, resumed = (tmp_path / name / 'run' for name in ('one', 'two', 'three'))
    resumed.mkdir(parents=True)
    for name in (f'epoch_{IN_PROMPT}.pth', 'classify.pth'):  # refine starts from the latter
        shutil.copy(together / name, resumed)
    (resumed / 'last_checkpoint').write_text(str(resumed / f'epoch_{IN_PROMPT}.pth'))
    launch(3, tool, 'train.py', write('three'), '--resume')

    moved = (weights(alone / 'classify.pth')[KEY] - start[KEY]).abs().mean()
    assert moved < 0.5  # not from where the Runner's seed would begin
    expected = steps(alone)
    assert len(expected) == 30
    for run, number, first in ((together, 2, 0), (resumed, 3, 3 * IN_PROMPT)):
        got = [steps(run, rank) for rank in range(number)]
        for at, one in enumerate(expected[first:]):
            for other in got:
                assert other[at]['step'] == one['step']
                assert other[at]['losses'] == pytest.approx(one['losses'], rel=1e-6, abs=1e-6), at
            assert sum(other[at]['pairs'] for other in got) == one['pairs']
        # Processes that had no pairs where others had.
        pairs = zip(*([step['pairs'] for step in other] for other in got), strict=True)
        assert any(0 in each and any(each) for each in pairs)
    for before, after in itertools.pairwise(FILES):
        # far more than they may differ
        assert largest_difference(alone / before, alone / after) > 1e-4
    for name in FILES:
        assert largest_difference(alone / name, together / name) <= 1e-6, name
    for name in FILES[2:]:
        assert largest_difference(alone / name, resumed / name) <= 1e-6, name
