"""Forecasts: a few images are run, and the rest is arithmetic."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from semples_mmseg.demo.steps import demo_steps
from semples_mmseg.runs import forecast as module
from semples_mmseg.runs.forecast import Cost, forecast, show_forecast

ROOT = Path(__file__).parents[2]
BATCHES = dict(classify=50, match=32, prompt=64, refine=32)
EPOCHS = dict(classify=4, match=6, prompt=8, refine=6)


def training_moments(waits, computes, rest, validating):
    """Moments of one epoch of each stage; before_run to the first epoch takes a second."""
    now, moments = 1.0, [('before_train', 0.0)]
    for _ in BATCHES:
        moments.append(('before_train_epoch', now))
        for wait, compute in zip(waits, computes, strict=True):
            now += wait
            moments.append(('before_train_iter', now))
            now += compute
            moments.append(('after_train_iter', now))
        now += rest
        moments += [('after_train_epoch', now), ('before_val', now)]
        now += validating
        moments.append(('after_val', now))
    return [*moments, ('after_train', now)]


@pytest.fixture
def steps(tmp_path):
    data = tmp_path / 'data'
    options = [
        f'{loader}_dataloader.dataset.num_{part}={number}'
        for loader in ('train', 'val', 'test', 'pseudo_mask')
        for part, number in (('train', 320), ('val', 20))
    ]
    return demo_steps(ROOT, tmp_path / 'short', data, 0, options)


def test_few_images_are_scaled_up(steps, tmp_path, monkeypatch):
    training = training_moments([0.3, 0.0, 0.0], [9.0, 2.0, 2.0], 0.5, 4.0)
    testing = [('before_test', 0.0), ('after_test', 15.0)]
    asked = []

    def measure(step, options, folder, number):
        asked.append((step.name, list(options)))
        if step.name == 'SemPLeS training':
            end = training[-1][1]
            return module._Measured(training, end + 7, 900.0, 0.0)
        outside = 17 if step.name == 'pseudo masks' else 8
        return module._Measured(testing, 15 + outside, 800.0, 0.0)

    monkeypatch.setattr(module, '_measure', measure)
    trained, seeds, masks = forecast(steps[:3], tmp_path, Console(file=io.StringIO()))

    # Three batches of the largest stage.
    assert '+train_dataloader.dataset.indices=192' in asked[0][1]
    assert [f'stages.{n}.epochs=1' for n in range(4)] == asked[0][1][1:5]
    # A step: waiting on average, computing by the median. Four validations, of 20 of 20 images.
    expected = 7.0 + 4 * 4.0
    for stage, batch in BATCHES.items():
        expected += EPOCHS[stage] * (320 // batch * (0.1 + 2.0) + 0.5)
    assert trained.seconds == pytest.approx(expected)
    assert (trained.images, trained.megabytes) == (320, 900.0)
    # 150 images took 15 s.
    assert seeds.seconds == pytest.approx(8 + 15 * 320 / 150)
    # Ten of the 17 s outside are the choice of a score by 150 images; the run takes 300.
    assert masks.seconds == pytest.approx(17 + 15 * 320 / 150 + 10 * (300 / 150 - 1))


def test_the_steps_are_run(steps, tmp_path):
    trained, seeds = forecast(steps[:2], tmp_path, Console(file=io.StringIO()))
    assert (trained.images, seeds.images) == (320, 320)
    for cost in (trained, seeds):
        assert cost.seconds > 1 and cost.megabytes > 100
    assert trained.disk > 1


def test_a_step_that_fails_is_named_with_its_output(steps, tmp_path):
    with pytest.raises(RuntimeError, match='(?s)step .seeds. fails on a few images.*no weights at'):
        forecast(steps[1:2], tmp_path, Console(file=io.StringIO()))


def test_the_table_has_sums():
    console = Console(record=True, width=120)
    costs = [Cost('data'), Cost('a', 10, 60, 900, 0, 5), Cost('b', 10, 3540, 700, 0, 6)]
    show_forecast(costs, console)
    text = console.export_text()
    assert 'not measured' in text and 'GPU' not in text.split('What lowers')[0]
    total = next(line for line in text.splitlines() if 'all' in line)
    assert '1:00:00' in total and '900 MB' in total and '11 MB' in total
