"""Tables of runs beside the paper's: read from folders, placed by their configs, three formats."""

import copy
import csv
import json
from pathlib import Path

import pytest
from mmengine.config import Config
from run_tool import run_tool

from semples_mmseg.runs.compare import compare, read_run

CONFIGS = Path(__file__).parents[2] / 'configs' / 'semples'


@pytest.fixture(scope='module')
def configs():
    return {path.stem: Config.fromfile(path) for path in CONFIGS.rglob('voc*.py')}


@pytest.fixture
def make_run(tmp_path, configs):
    """Return a function that writes what a run leaves and reads it."""

    def make(config, name=None, seed=60.0, options=None, files=None, work='.'):
        folder = tmp_path / (name or config)
        (folder / work).mkdir(parents=True)
        changed = copy.deepcopy(configs[config])
        changed.merge_from_dict(options or {})
        changed.dump(folder / work / f'{config}.py')
        records = [
            dict(stage=stage.name, epochs=1, checkpoint='x', metrics=dict(seed_mIoU=seed - 9 + n))
            for n, stage in enumerate(changed.stages)
        ]
        (folder / work / 'stages.json').write_text(json.dumps(records))
        for file, content in (files or {'seeds.json': dict(seed_mIoU=seed)}).items():
            (folder / file).write_text(json.dumps(content))
        return read_run(str(folder))

    return make


def test_terms_of_the_losses(make_run):
    runs = [
        make_run('voc_match', seed=61),
        make_run('voc_text_term', seed=62),
        make_run('voc_image_term', seed=63),
        make_run('voc_refine', seed=64),
        make_run('voc_joint', seed=65),
    ]
    table = compare(runs, '4')
    assert [row[-3:] for row in table.rows] == [
        ['61.0', '1', '67.6'],
        ['62.0', '1', '67.7'],
        ['63.0', '1', '67.9'],
        ['64.0', '1', '68.7'],
    ]
    assert 'Left out: voc_joint, it is not trained in one round.' in table.notes


def test_lambdas_are_sorted_and_averaged(make_run):
    runs = [
        make_run('voc_lambda_0p1', seed=64),
        make_run('voc_refine', 'a', seed=60),
        make_run('voc_refine', 'b', seed=62, options={'randomness.seed': 1}),
        make_run('voc_refine', 'c', seed=50, options={'model.refine_loss.weight': 0.3}),
    ]
    table = compare(runs, '5')
    found = {row[0]: row[1:] for row in table.rows}
    assert list(found) == ['0', '0.01', '0.02', '0.05', '0.1', '0.3']
    assert found['0.05'] == ['61.0 ± 1.4', '2', '68.7']
    assert found['0.1'] == ['64.0', '1', '67.8']
    assert found['0.3'] == ['50.0', '1', '-']
    assert found['0.01'] == ['-', '0', '68.3']


def test_matching_is_read_from_whole_runs_where_none_ends_with_it(make_run):
    files = {'seeds_match.json': dict(seed_mIoU=58), 'seeds_refine.json': dict(seed_mIoU=60)}
    runs = [make_run('voc_refine', files=files), make_run('voc_text_term', files=files)]
    assert compare(runs, '4').rows[0][-3:] == ['58.0', '1', '67.6']  # shared, so it counts once
    assert compare([*runs, make_run('voc_match', seed=57)], '4').rows[0][-3] == '57.0'


def test_schemes_of_training(make_run):
    names = ('voc_joint', 'voc_refine', 'voc_three_rounds')
    table = compare([make_run(name, seed=60 + n) for n, name in enumerate(names)], '6')
    assert [row[1:] for row in table.rows] == [
        ['60.0', '1', '65.9'],
        ['61.0', '1', '68.7'],
        ['-', '0', '68.5'],
        ['62.0', '1', '68.4'],
    ]


def test_runs_beside_published_methods(make_run):
    files = {
        'seeds.json': dict(seed_mIoU=60.04),
        'masks.json': dict(mIoU=70),
        'labelled_train.json': dict(mIoU=71),
        'val.json': dict(mIoU=72),
    }
    run = make_run('voc_refine', 'pipeline', files=files, work='semples')
    seeds = compare([run], '1')
    assert seeds.rows[0] == ['pipeline', 'ours, 1 run', '60.0', '70.0', '71.0', '-']
    assert seeds.rows[1] == ['SemPLeS', 'paper', '68.7', '-', '-', '78.3']
    assert compare([run], '2').rows[:2] == [
        ['pipeline', 'ours, 1 run', '72.0', '-'],
        ['SemPLeS', 'paper', '74.2', '74.8'],
    ]
    assert (
        'They are on other data than the runs and cannot be compared.' in compare([run], '3').notes
    )
    assert not any('other data' in note for note in seeds.notes)


def test_seeds_of_validation_are_told(make_run):
    table = compare([make_run('voc_refine', files={'other.json': {}})], '6')
    assert table.rows[1][1] == '53.0'
    assert any('not of tools/test.py: voc_refine' in note for note in table.notes)


def test_a_run_that_has_not_ended_counts_for_nothing(make_run, tmp_path):
    make_run('voc_refine', 'lr=1', files={'other.json': {}})
    path = tmp_path / 'lr=1' / 'stages.json'
    path.write_text(json.dumps(json.loads(path.read_text())[:1]))
    table = compare([read_run(str(tmp_path / 'lr=1'))], '5')
    assert [row[1:3] for row in table.rows if row[0] in ('0', '0.05')] == [
        ['51.0', '1'],
        ['-', '0'],
    ]
    assert 'Without seeds of their last stage: lr=1.' in table.notes


def test_what_cannot_be_compared_is_refused(make_run, tmp_path):
    run = make_run('voc_refine')
    other = make_run('voc_refine', 'b', options={'model.match_loss.background_weight': 1.0})
    with pytest.raises(ValueError, match='voc_refine and b belong to the same row .*match_loss'):
        compare([run, other], '4')
    options = {'train_dataloader.dataset.type': 'WeakCOCODataset'}
    with pytest.raises(ValueError, match='different data.*c .WeakCOCODataset'):
        compare([run, make_run('voc_refine', 'c', options=options)], '1')
    with pytest.raises(FileNotFoundError, match='nothing holds no staged run'):
        read_run(str(tmp_path / 'nothing'))
    (tmp_path / 'voc_refine' / 'seeds.json').write_text('{"seed_mIoU": ')
    with pytest.raises(ValueError, match='seeds.json is not a JSON'):
        read_run(str(tmp_path / 'voc_refine'))


def test_the_tool_writes_three_formats(make_run, tmp_path, capsys):
    make_run('voc_refine', seed=61.25)
    run, out = f'my_run={tmp_path / "voc_refine"}', tmp_path / 'table.csv'
    run_tool('analysis/compare.py', '--table', '1', run, '--format', 'csv', '--out', out)
    rows = list(csv.reader(out.read_text().splitlines()))
    assert rows[1][:3] == ['my_run', 'ours, 1 run', '61.2']
    capsys.readouterr()
    run_tool('analysis/compare.py', '--table', '5', run)
    assert '| 0.05 | 61.2 | 1 | 68.7 |' in capsys.readouterr().out
    run_tool('analysis/compare.py', '--table', '4', run, '--format', 'latex')
    latex = capsys.readouterr().out
    assert r'\checkmark & \checkmark & \checkmark & 61.2 & 1 & 68.7 \\' in latex
    assert r'mIoU in \%' in latex
