"""Tables of the paper, filled from run folders."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from fill import TITLES, fill  # noqa: E402


@pytest.fixture
def run(tmp_path):
    def make(name, seed, **others):
        folder = tmp_path / name
        folder.mkdir()
        (folder / 'seeds.json').write_text(json.dumps(dict(seed_mIoU=seed)))
        for file, value in others.items():
            (folder / f'{file}.json').write_text(json.dumps(dict(mIoU=value)))
        return folder

    return make


def test_runs_of_a_row_are_averaged_beside_the_papers(run, tmp_path):
    runs = [('0.1', run('a', 66.0)), ('0.1', run('b', 68.0)), ('0.3', run('c', 60.0))]
    lines = fill(5, runs).splitlines()
    assert '| 0.1 | published | 67.8 |' in lines and '| 0.1 | ours, 2 | 67.0 ± 1.4 |' in lines
    assert '| 0.3 | ours, 1 | 60.0 |' in lines
    text = fill(1, [('ours', run('d', 50.0, masks=55.5, labelled_train=51.0))])
    assert '| ours | ours, 1 | 50.0 | 55.5 | 51.0 | - |' in text
    assert all(fill(number, runs) for number in TITLES)
    work = tmp_path / 'train/semples'
    work.mkdir(parents=True)
    stages = [dict(metrics=dict(seed_mIoU=value)) for value in (1.0, 2.0)]
    (work / 'stages.json').write_text(json.dumps(stages))
    assert '| x | ours, 1 | 2.0 |' in fill(6, [('x', tmp_path / 'train')])
    with pytest.raises(FileNotFoundError, match='holds no figures'):
        fill(6, [('x', tmp_path)])
