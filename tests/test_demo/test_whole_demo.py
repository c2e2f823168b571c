"""The demo from its data to its table, shortened: every tool and config of a real run."""

import json

from PIL import Image
from rich.console import Console

from semples_mmseg.runs.recipe import read_recipe
from semples_mmseg.runs.results import report_results
from semples_mmseg.runs.steps import run_steps


def test_the_whole_demo_on_few_scenes(tmp_path, steps_in_process):
    folder, data = tmp_path / 'my demo', tmp_path / 'my data'
    options = [f'stages.{n}.epochs=1' for n in range(4)]
    options += [f'stages.{n}.batch_size=16' for n in range(4)]
    for loader in ('train', 'val', 'test', 'pseudo_mask'):
        dataset = f'{loader}_dataloader.dataset'
        options += [f'{dataset}.num_train=16', f'{dataset}.num_val=8']
    console = Console(record=True, width=120)
    values = dict(semples_options=options, segmenter_options=['train_cfg.max_epochs=1'])
    recipe = read_recipe('demo', folder, dict(data=data), values)
    run_steps(recipe, console)
    results = report_results(recipe, console)
    assert json.loads((folder / 'results.json').read_text()) == results
    assert [len(set(cells) - {None}) for cells in results['rows'].values()] == [2, 2, 2, 1, 1]
    for cells in results['rows'].values():
        assert all(0 < cell <= 100 for cell in cells if cell is not None)
    assert {*results['differs_from_paper']} == {'demo_refine', 'segmenter_demo'}
    width, height = Image.open(folder / 'grid.png').size
    assert min(width, height) > 100
    text = console.export_text()
    assert 'seeds after (c)' in text and 'a diagnostic' in text
    run_steps(recipe, console)
    assert console.export_text().count('complete, skipped') == len(recipe.steps)
