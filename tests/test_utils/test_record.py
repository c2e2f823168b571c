"""One record of what results were made from: three answers, and refusals that name what differs."""

import json
import os
import shutil

import pytest

from semples_mmseg.utils.files import read_json
from semples_mmseg.utils.io import write_json
from semples_mmseg.utils.record import Record


@pytest.fixture
def made(tmp_path):
    """A complete result ``masks`` of a file and of a folder."""
    (tmp_path / 'photos').mkdir()
    for name in ('photos/a', 'photos/.hidden', 'weights'):
        (tmp_path / name).write_text(name)
    inputs = {'photos': tmp_path / 'photos', 'weights': tmp_path / 'weights'}
    record = Record(tmp_path / 'out')
    assert record.state('masks', dict(seed=0), inputs) == 'new'
    record.begin('masks', dict(seed=0), inputs, version='1')
    assert Record(tmp_path / 'out').state('masks', dict(seed=0), inputs) == 'unfinished'
    (tmp_path / 'out' / 'a.png').write_text('mask')
    record.finish('masks', [tmp_path / 'out' / 'a.png'], seconds=3)
    return tmp_path, inputs


def state(folder, inputs, grows=False, **settings):
    return Record(folder / 'out').state('masks', dict(dict(seed=0), **settings), inputs, grows)


def test_complete_wherever_it_is(made, tmp_path_factory):
    folder, inputs = made
    assert state(folder, inputs) == 'complete'
    os.utime(inputs['weights'], (1, 1))  # a clock that was wrong: the content counts
    assert state(folder, inputs) == 'complete'
    moved = tmp_path_factory.mktemp('moved') / 'all'
    shutil.copytree(folder, moved)
    inputs = {name: moved / name for name in inputs}
    assert state(moved, inputs) == 'complete'
    assert Record(moved / 'out')['masks'].about == dict(version='1', seconds=3)
    assert Record(folder / 'out').unchanged('masks', {'photos/a': folder / 'photos' / 'a'})


def test_what_differs_is_named(made):
    folder, inputs = made
    with pytest.raises(ValueError, match='seed 0 there, 1 now.*another --out'):
        state(folder, inputs, seed=1)
    with pytest.raises(ValueError, match='crf not set there, True now'):
        state(folder, inputs, crf=True)
    inputs['weights'].write_text('WEIGHTS')  # of the same size
    with pytest.raises(ValueError, match='weights has other content'):
        state(folder, inputs)
    inputs['weights'].write_text('weights')
    (folder / 'photos' / 'b').write_text('b')
    with pytest.raises(ValueError, match='photos/b was added'):
        state(folder, inputs)
    assert state(folder, inputs, grows=True) == 'unfinished'
    (folder / 'photos' / 'b').unlink()
    (folder / 'photos' / 'a').rename(folder / 'elsewhere')
    with pytest.raises(ValueError, match='photos/a is gone'):
        state(folder, inputs)
    inputs['weights'].unlink()
    with pytest.raises(FileNotFoundError, match='weights does not exist'):
        state(folder, inputs)


def test_outputs_are_watched(made):
    folder, inputs = made
    mask = folder / 'out' / 'a.png'
    mask.write_text('MASK')
    with pytest.raises(ValueError, match='a.png was changed'):
        state(folder, inputs)
    mask.unlink()  # as the message says
    assert state(folder, inputs) == 'unfinished'


def test_inputs_may_be_added_and_those_without_a_result_replaced(made):
    folder, inputs = made
    inputs['bad'] = folder / 'bad'
    inputs['bad'].write_text('cannot be read')
    record = Record(folder / 'out')
    assert record.begin('masks', dict(seed=0), inputs, grows=True) == 'unfinished'
    record.finish('masks', [folder / 'out' / 'a.png'], unused=['bad'])
    inputs['bad'].write_text('repaired')
    assert state(folder, inputs, grows=True) == 'unfinished'
    with pytest.raises(ValueError, match='bad was added'):
        state(folder, inputs)


def test_numbers_that_json_has_not_are_read_back(made):
    folder, inputs = made
    record = Record(folder / 'out')
    record.begin('scores', dict(side=float('inf')), inputs, miou=float('nan'))
    write_json(folder / 'metrics.json', dict(mIoU=float('nan'), IoU=[1.0, float('-inf')]))
    assert Record(folder / 'out').state('scores', dict(side=float('inf')), inputs) == 'unfinished'
    assert read_json(folder / 'metrics.json') == dict(mIoU=None, IoU=[1.0, None])


def test_anew_and_forgotten(made):
    folder, inputs = made
    record = Record(folder / 'out')
    assert record.begin('masks', dict(seed=1), inputs, anew=True) == 'new'
    record.forget('masks')
    assert 'masks' not in Record(folder / 'out')
    with pytest.raises(FileNotFoundError, match='no masks'):
        Record(folder / 'out')['masks']


ENTRY = dict(settings={}, inputs={}, outputs=None, about={})


@pytest.mark.parametrize(
    'content', ['{', [], 3, {}, ENTRY | dict(about=None), ENTRY | dict(inputs={'a': ['1', 2, 3]})]
)
def test_a_damaged_file_is_refused(made, content):
    folder, inputs = made
    text = content if content == '{' else json.dumps(dict(masks=content))
    (folder / 'out' / 'record.json').write_text(str(text))
    with pytest.raises(ValueError, match=r'record\.json'):
        state(folder, inputs)


def test_folders_of_the_version_before_are_refused(tmp_path):
    (tmp_path / 'run.json').write_text('{}')
    with pytest.raises(ValueError, match=r'run\.json.*0\.3\.0.*--out'):
        Record(tmp_path)
