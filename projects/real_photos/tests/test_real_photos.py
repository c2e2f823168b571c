"""The study on real photos: its data sets, its recipe, and its tables."""

import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
import prepare  # noqa: E402
import run  # noqa: E402
import summary  # noqa: E402

from semples_mmseg.runs import steps  # noqa: E402
from semples_mmseg.utils.io import write_json  # noqa: E402
from semples_mmseg.utils.label_png import read_mask, write_mask  # noqa: E402


@pytest.fixture
def data(tmp_path):
    """MSRC in small: cow and horse, sheep, a boat that is held out, and a photo of nothing."""
    source, tags = tmp_path / 'source', 'image,tag\na.png,cow\na.png,horse\nb.png,sheep\nc.png,boat'
    (source / 'photos').mkdir(parents=True)
    (source / 'tags.csv').write_text(f'{tags}\nd.png,\n')
    (source / 'heldout.txt').write_text('c\n')
    with zipfile.ZipFile(source / 'masks.zip', 'w') as archive:
        for name, ids in dict(a=[0, 1, 2, 255], b=[0, 3, 3, 0], c=[15] * 4, d=[0] * 4).items():
            Image.fromarray(np.full((4, 4, 3), 90, np.uint8)).save(source / f'photos/{name}.png')
            write_mask(tmp_path / 'mask.png', np.array([ids]))
            archive.write(tmp_path / 'mask.png', f'masks/{name}.png')
    prepare.prepare(prepare.SOURCES['msrc'], source, tmp_path / 'data/msrc')
    (tmp_path / 'data/msrc/segments').mkdir()
    return tmp_path / 'data'


def test_masks_have_the_ids_of_the_study(data):
    lists = {name: (data / f'msrc/{name}.txt').read_text().split() for name in ('train', 'held')}
    assert lists == dict(train=['a', 'b', 'd'], held=['c'])
    masks = [read_mask(data / f'msrc/masks/{name}.png')[0].tolist() for name in 'abc']
    assert masks == [[0, 1, 255, 255], [0, 2, 2, 0], [14] * 4]


def test_recipe_and_tables(data, tmp_path, monkeypatch):
    """Every step has its config, options and inputs; what is complete is not run again."""
    done = []

    def work(command, log, *_):
        step = recipe.steps[len(done)]
        done.append(step.name)
        log.touch()
        for path in step.paths(step.outputs).values():
            write_json(path, {}) if path.suffix else path.mkdir()
        return 0

    monkeypatch.setattr(steps, '_run', work)
    monkeypatch.setenv('DATA_ROOT', '')
    recipe = run.read_cell(data, tmp_path / 'run', 'msrc', 0)
    run.run_cell(recipe)
    run.run_cell(run.read_cell(data, tmp_path / 'run', 'msrc', 0, main=True))
    assert len(done) == len(recipe.steps) == 20
    cams = dict.fromkeys(('stage_0', 'match', 'refine'), dict(best=50.0, mIoU=40.0, score=0.4))
    other = cams | dict(refine=dict(best=53.0, mIoU=42.0, score=0.5))
    table = summary.make_tables([dict(cams=cams), dict(cams=other)])
    # Gains 0 and 3: standard error 1.5, t(0.975, 1) = 12.706.
    full = '| (c), gain over (a) | 2 | 51.5 ± 2.1 | 41.0 ± 1.4 | 0.45 | +1.5 [-17.6, +20.6] |\n'
    assert full in table and '| retrained model, photos held out | 0 | - |\n' in table
