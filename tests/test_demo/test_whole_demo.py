"""The demo from its data to its table, shortened: every tool and config of a real run."""

import json
from pathlib import Path

from PIL import Image
from rich.console import Console

from semples_mmseg.demo.report import report_demo
from semples_mmseg.demo.steps import demo_steps
from semples_mmseg.runs.steps import run_steps

ROOT = Path(__file__).parents[2]


def test_the_whole_demo_on_few_scenes(tmp_path, steps_in_process):
    folder, data_root = tmp_path / 'my demo', tmp_path / 'my data'
    options = [f'stages.{n}.epochs=1' for n in range(4)]
    options += [f'stages.{n}.batch_size=16' for n in range(4)]
    for loader in ('train', 'val', 'test', 'pseudo_mask'):
        dataset = f'{loader}_dataloader.dataset'
        options += [f'{dataset}.num_train=32', f'{dataset}.num_val=8']
    console = Console(record=True, width=120)
    steps = demo_steps(ROOT, folder, data_root, 0, options)
    run_steps(steps, folder, console)
    results = report_demo(folder, data_root, console)
    assert json.loads((folder / 'results.json').read_text()) == results
    for stage in ('classify', 'match', 'refine'):
        for split in ('train', 'held_out'):
            assert 0 < results['seeds'][stage][split]['seed_mIoU'] <= 100
    assert 0 < results['segmenter']['held_out_mIoU'] <= 100
    width, height = Image.open(folder / 'grid.png').size
    assert min(width, height) > 100
    text = console.export_text()
    assert 'seeds after (c)' in text and 'a diagnostic' in text
    run_steps(steps, folder, console)
    assert console.export_text().count('complete, skipped') == len(steps)
