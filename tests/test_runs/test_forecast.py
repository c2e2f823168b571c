"""Forecasts: a few images are run, and the rest is arithmetic."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from semples_mmseg.demo.world.sets import make_demo_set
from semples_mmseg.runs import forecast as module
from semples_mmseg.runs.forecast import Cost, forecast, show_forecast
from semples_mmseg.runs.recipe import read_recipe

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
def read(tmp_path):
    """Return a function that reads some steps of the demo, with fewer scenes."""
    (tmp_path / 'short').mkdir()

    def make(*names, train=320, options=()):
        options = [
            *options,
            *(
                f'{loader}_dataloader.dataset.num_{part}={number}'
                for loader in ('train', 'val', 'test', 'pseudo_mask')
                for part, number in (('train', train), ('val', 20))
            ),
        ]
        places, values = dict(data=tmp_path / 'data'), dict(semples_options=options)
        recipe = read_recipe('demo', tmp_path / 'short', places, values)
        return replace(recipe, steps=[step for step in recipe.steps if step.name in names])

    return make


def quiet():
    return Console(file=io.StringIO())


def test_few_images_are_scaled_up(read, tmp_path, monkeypatch):
    make_demo_set(tmp_path / 'data', train=320, val=20)
    training = training_moments([0.3, 0.0, 0.0], [9.0, 2.0, 2.0], 0.5, 4.0)
    testing = [('before_test', 0.0), ('after_test', 15.0)]
    asked = []

    def measure(step, options, file):
        asked.append((step.name, list(options)))
        if step.name == 'SemPLeS training':
            return training[-1][1] + 7, dict(moments=training, megabytes=900.0, gpu_megabytes=0.0)
        return 15 + 8, dict(moments=testing, megabytes=800.0, gpu_megabytes=0.0)

    monkeypatch.setattr(module, '_measure', measure)
    trained, seeds, masks, measured = forecast(
        read('SemPLeS training', 'seeds', 'pseudo masks', 'pseudo masks, measured'), quiet()
    )
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
    # A score is chosen by 150 images, in the run by 300.
    assert masks.seconds == pytest.approx(8 + 15 * 320 / 150 + 15)
    assert measured.images is None


def test_a_step_is_run(read):
    options = [f'stages.{n}.batch_size=4' for n in range(4)]
    options.append('val_dataloader.batch_size=4')
    (cost,) = forecast(read('SemPLeS training', train=16, options=options), quiet())
    assert cost.images == 16 and cost.seconds > 1 and cost.megabytes > 100 and cost.disk > 1


def test_a_step_that_fails_is_named_with_its_output(read, tmp_path):
    (tmp_path / 'tools').mkdir()
    (tmp_path / 'tools/test.py').write_text('raise SystemExit("the cause")')
    recipe = read('seeds')
    (step,) = recipe.steps
    places = {**step.places, 'root': tmp_path}
    step = replace(step, config=str(step.config_file), places=places)
    with pytest.raises(RuntimeError, match='(?s)step .seeds. fails on a few images.*the cause'):
        forecast(replace(recipe, steps=[step]), quiet())


def test_the_table_has_sums():
    console = Console(record=True, width=120)
    costs = [Cost('data'), Cost('a', 10, 60, 900, 0, 5), Cost('b', 10, 3540, 700, 0, 6)]
    show_forecast(costs, console)
    text = console.export_text()
    assert 'not measured' in text and 'GPU' not in text
    total = next(line for line in text.splitlines() if 'all' in line)
    assert '1:00:00' in total and '900 MB' in total and '11 MB' in total
