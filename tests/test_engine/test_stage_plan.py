"""Lists of stages: what they mean, and what is refused."""

import pytest

from semples_mmseg.engine import StagePlan

THREE = [
    dict(name='match', epochs=2),
    dict(name='prompt', epochs=3, batch_size=8),
    dict(name='refine', epochs=1, restore=dict(mask_generator='match')),
]
ALTERNATING = [*THREE, dict(name='prompt', epochs=2), dict(name='refine', epochs=2)]


def test_epochs_are_counted_through_all_stages():
    plan = StagePlan(THREE)
    assert plan.total_epochs == 6
    assert [plan.index_at(epoch) for epoch in range(7)] == [0, 0, 1, 1, 1, 2, 2]
    assert [plan.start_of(index) for index in range(3)] == [0, 2, 5]
    assert [done for done in range(8) if plan.ends_stage(done)] == [2, 5, 6]


def test_snapshots_are_taken_on_the_first_entry():
    plan = StagePlan(ALTERNATING)
    assert plan.snapshots_at(0) == ['mask_generator']
    assert [plan.snapshots_at(index) for index in range(1, 5)] == [[], [], [], []]
    until = [stage.name for stage in plan.stages_until_wanted('mask_generator', 0)]
    assert until == ['match', 'prompt']


def test_what_a_stage_keeps_is_stored_though_nothing_here_wants_it_back():
    plan = StagePlan([dict(THREE[0], keeps=['mask_generator']), THREE[1]])
    assert [plan.snapshots_at(index) for index in range(2)] == [['mask_generator'], []]


@pytest.mark.parametrize(
    ('stages', 'message'),
    [
        ([], 'the config has no stages'),
        (None, 'the config has no stages'),
        ([dict(name='refin', epochs=1)], "unknown stage 'refin': use one of classify, match"),
        ([dict(name='match')], r'stages\[0\] needs a name and epochs'),
        ([dict(name='match', epochs=0)], 'epochs must be at least 1, got 0'),
        ([dict(name='match', epochs='2')], "epochs must be at least 1, got '2'"),
        ([dict(name='match', epochs=1, lr=1)], r"unknown keys \['lr'\]"),
        ([dict(name='match', epochs=1, batch_size=0)], 'batch_size must be at least 1'),
        ([dict(name='mine', epochs=1, losses=['match'])], "unknown stage 'mine'"),
    ],
)
def test_bad_lists(stages, message):
    with pytest.raises(ValueError, match=message):
        StagePlan(stages)
