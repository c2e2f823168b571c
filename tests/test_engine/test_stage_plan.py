"""Lists of stages: what they mean, and what is refused."""

import pytest

from semples_mmseg.engine import StagePlan

THREE = [
    dict(name='match', epochs=2),
    dict(name='prompt', epochs=3, batch_size=8),
    dict(name='refine', epochs=1, restore=dict(mask_generator='match')),
]


def test_epochs_are_counted_through_all_stages():
    plan = StagePlan(THREE)
    assert plan.ends == [2, 5, 6]
    assert [plan.index_at(epoch) for epoch in range(6)] == [0, 0, 1, 1, 1, 2]


def test_files_at_the_end_and_at_the_first_start_of_a_stage():
    plan = StagePlan([*THREE, *THREE[1:]])
    names = ['match.pth', 'prompt_2.pth', 'refine_3.pth', 'prompt_4.pth', 'refine_5.pth']
    assert [plan.file_name(index) for index in range(5)] == names
    assert [plan.own_files(index) for index in (1, 3)] == [{}, {}]
    assert plan.own_files(2) == plan.own_files(4) == dict(mask_generator='start.pth')
    again = dict(mask_generator='refine', prompt_learner='weights.pth', text_head='prompt')
    plan = StagePlan([*THREE, dict(THREE[1], restore=again)])
    assert plan.own_files(3) == dict(mask_generator='prompt_2.pth', text_head='match.pth')


def test_an_optimizer_that_replaces_that_of_the_run_is_the_same_each_time():
    config = dict(optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.01, weight_decay=0.03)))
    own = dict(optimizer=dict(_delete_=True, type='SGD', lr=0.1))
    (spec,) = StagePlan([dict(name='match', epochs=1, optim_wrapper=own)]).specs
    for _ in range(2):
        assert spec.optimizer_config(config)['optimizer'] == dict(type='SGD', lr=0.1)


def test_an_empty_list_of_schedules_is_none():
    config = dict(param_scheduler=dict(type='PolyLR'))
    stages = [dict(name='match', epochs=2), dict(name='prompt', epochs=1, param_scheduler=[])]
    whole, none = StagePlan(stages).specs
    assert whole.schedulers_config(config) == [dict(type='PolyLR', end=2)]
    assert none.schedulers_config(config) is None


@pytest.mark.parametrize(
    ('stages', 'message'),
    [
        ([], 'no stages'),
        (None, 'no stages'),
        ([dict(name='refin', epochs=1)], "'refin'"),
        ([dict(name='match')], r'stages\.0 needs a name and epochs'),
        ([dict(name='match', epochs=0)], r'stages\.0 \(match\): epochs .* got 0'),
        ([dict(name='match', epochs='2')], "epochs .* got '2'"),
        ([dict(name='match', epochs=1, lr=1)], r"\['lr'\]; known are .*batch_size"),
        ([dict(name='match', epochs=1, batch_size=0)], 'batch_size .* got 0'),
        ([dict(name='mine', epochs=1, losses=['match'])], "'mine'"),
    ],
)
def test_bad_lists(stages, message):
    with pytest.raises(ValueError, match=message):
        StagePlan(stages)
