"""The runner: steps are skipped, resumed, refused or made anew by what they were made from."""

import json
import shutil
import sys
import time
from multiprocessing import get_context, get_start_method
from pathlib import Path

import pytest
from rich.console import Console

from semples_mmseg.runs.recipe import read_recipe
from semples_mmseg.runs.steps import run_steps, show_plan
from semples_mmseg.utils.errors import Missing, Refusal, RunError
from semples_mmseg.utils.parallel import start_child

COPY = """
import pathlib, sys
source, target, log, *rest = (text for text in sys.argv[1:] if not text.endswith('main.py'))
with open(log, 'a') as file:
    file.write(' '.join([pathlib.Path(target).parent.name, *rest]) + '\\n')
text = pathlib.Path(source).read_text()
if text == 'bad':
    sys.exit(print('bad source') or 3)
if text != 'lazy':
    pathlib.Path(target).parent.mkdir(exist_ok=True)
    pathlib.Path(target).write_text(text)
print('eta: 0:10:00')
"""
RECIPE = """
title = 'two copies'
places = dict(data='nowhere')
values = dict(rate=1, script='', config='', more=[])
copy = dict(tool='{script}', config='{config}', resume=['--resume'], length=3)
steps = [
    dict(
        name='One (first)',
        **copy,
        arguments=['{data}/source', '{run}/one/file', '{data}/log', '--rate={rate}', '{more}'],
        inputs=['{data}/source'],
        outputs=['{run}/one/file'],
        folder='{run}/one',
    ),
    dict(
        name='two',
        **copy,
        arguments=['{run}/one/file', '{run}/two/file', '{data}/log'],
        inputs=['{run}/one/file'],
        outputs=['{run}/two/file'],
        folder='{run}/two',
    ),
    dict(name='never', tool='{script}', when='{data}/nothing'),
]
"""


STATE = """
import json, multiprocessing, numpy, os, random, sys, torch
print(json.dumps(dict(
    argv=sys.argv, path=sys.path[0], name=__name__, OWN=os.environ.get('OWN'),
    random=random.random(), numpy=numpy.random.rand(), torch=torch.rand(1).item(),
    start=multiprocessing.get_start_method(),
)))
sys.exit(int(sys.argv[1]))
"""


class Copies:
    """A run of two steps that copy a file, one after the other."""

    def __init__(self, folder):
        self.folder, self.data, self.run_folder = folder, folder / 'data', folder / 'run'
        self.data.mkdir()
        (folder / 'recipe.py').write_text(RECIPE)
        (folder / 'copy.py').write_text(COPY)
        self.source, self.log = self.data / 'source', self.data / 'log'
        self.source.write_text('one')

    def read(self, run=None, **values):
        values['script'] = str(self.folder / 'copy.py')
        run = run or self.run_folder
        return read_recipe(self.folder / 'recipe.py', run, dict(data=self.data), values)

    def __call__(self, run=None, verbose=False, **values):
        """Run it; return the steps that ran, with their last arguments."""
        self.log.unlink(missing_ok=True)
        console = Console(record=True, width=200, file=open('/dev/null', 'w'))  # noqa: SIM115
        try:
            run_steps(self.read(run, **values), console, verbose)
        finally:
            self.text = console.export_text()
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def copies(tmp_path):
    return Copies(tmp_path)


def test_complete_steps_are_skipped_wherever_the_run_is(copies, tmp_path, monkeypatch):
    assert copies() == ['one --rate=1', 'two']
    assert (copies.run_folder / 'two/file').read_text() == 'one'
    monkeypatch.chdir(tmp_path)
    shutil.copytree('run', 'moved')
    for same in ('run', './run', tmp_path / 'run', 'moved'):
        assert copies(same) == []
        assert copies.text.count('complete, skipped') == 2
    copies.data = copies.data.rename(tmp_path / 'moved data')
    assert copies() == []


def test_what_differs_is_refused_by_name(copies):
    copies()
    with pytest.raises(Refusal, match='--rate=1 there, --rate=2 now.*--work-dir'):
        copies(rate=2)
    with pytest.raises(Refusal, match='--fast now'):
        copies(more=['--fast'])
    copies.source.write_text('two')
    with pytest.raises(Refusal, match=r'\{data\}/source has other content'):
        copies()
    assert not copies.log.exists()
    console = Console(record=True, width=200)
    show_plan(copies.read(), console)
    assert 'refused' in (text := console.export_text()) and 'other content' in text


def test_a_setting_of_a_base_config_counts_and_a_comment_does_not(copies):
    base, config = copies.folder / 'base.py', copies.folder / 'main.py'
    base.write_text('speed = 1')
    config.write_text("_base_ = 'base.py'")
    copies(config=str(config))
    base.write_text('speed = 1  # slow')
    assert copies(config=str(config)) == []
    base.write_text('speed = 2')
    with pytest.raises(Refusal, match=r'config\.speed 1 there, 2 now'):
        copies(config=str(config))


def test_an_input_that_changed_while_a_step_ran_is_noticed(copies):
    change = "\nif 'data/source' in source:\n    pathlib.Path(source).write_text('new')\n"
    (copies.folder / 'copy.py').write_text(COPY + change)
    copies()
    with pytest.raises(Refusal, match=r'\{data\}/source has other content'):
        copies()


def test_the_output_of_the_steps_is_shown_if_asked_for(copies):
    copies(verbose=True)
    assert copies.text.count('eta: 0:10:00') == 2


def test_an_output_that_was_changed_is_refused_and_one_that_is_gone_is_made_again(copies):
    copies()
    target = copies.run_folder / 'two/file'
    target.write_text('own')  # of the same size
    with pytest.raises(Refusal, match='two/file was changed'):
        copies()
    target.unlink()
    assert copies() == ['two --resume'] and target.read_text() == 'one'


def test_what_follows_a_step_that_was_made_again_is_made_anew(copies):
    """Also if it was broken off in between: what an older try has left is not resumed."""
    copies()
    shutil.rmtree(copies.run_folder / 'one')
    script = copies.folder / 'copy.py'
    script.write_text(COPY.replace('write_text(text)', 'write_text(text + "!")'))
    stale = copies.run_folder / 'two/last_checkpoint'
    stale.touch()
    assert copies() == ['one --rate=1 --resume', 'two']
    assert (copies.run_folder / 'two/file').read_text() == 'one!!' and not stale.exists()
    assert copies() == []


def test_a_step_that_was_broken_off_is_resumed(copies):
    copies.source.write_text('bad')
    for _ in range(2):
        with pytest.raises(RunError, match=r"(?s)'One \(first\)'.*code 3.*01-one-f.*bad source"):
            copies()
    assert copies.log.read_text().splitlines() == ['one --rate=1 --resume']


def test_a_folder_that_a_step_has_not_made_is_refused(copies):
    (copies.run_folder / 'one').mkdir(parents=True)
    (copies.run_folder / 'one/last_checkpoint').touch()
    with pytest.raises(FileExistsError, match=r"run/one .*'One \(first\)'.*--work-dir"):
        copies()


def test_a_step_must_leave_its_output(copies):
    copies.source.write_text('lazy')
    with pytest.raises(RunError, match=r'(?s)did not write .*one/file.*delete .*run/one\.'):
        copies()


def test_mistakes_of_a_recipe_are_told(copies):
    with pytest.raises(Missing, match='there is no recipe .*voc13'):
        read_recipe('voc13', copies.run_folder)
    with pytest.raises(Refusal, match="'colour' in its values"):
        copies.read(colour='red')
    file = copies.folder / 'recipe.py'
    for old, new, told in (
        ('{rate}', '{rates}', "'rates' in step .* no place"),
        ('outputs=', 'output=', "'output'"),
        ('{run}/one/file', '{run}/1/file', r'missing: .*run/one/file'),
    ):
        file.write_text(RECIPE.replace(old, new, 1 if old == 'outputs=' else 2))
        with pytest.raises(Refusal, match=told):
            copies.read()
        file.write_text(RECIPE)


def test_a_step_has_what_a_process_of_its_own_has(tmp_path, monkeypatch):
    script, log = tmp_path / 'state.py', tmp_path / 'log'
    script.write_text(STATE)
    monkeypatch.setenv('OWN', 'yes')
    for code in (0, 3):
        child = start_child([sys.executable, str(script), str(code)], log)
        child.join(60)
        assert child.exitcode == code
    first, second = map(json.loads, log.read_text().splitlines())
    assert first['argv'] == [str(script), '0'] and second['argv'][1] == '3'
    usual = dict(name='__main__', path=str(tmp_path), OWN='yes', start=get_start_method())
    assert usual.items() <= first.items()
    assert all(first[which] != second[which] for which in ('random', 'numpy', 'torch'))


@pytest.mark.skipif(sys.platform != 'linux', reason='only Linux ends children with their parent')
def test_a_step_ends_with_the_run_that_was_killed(tmp_path):
    """Else it would work on beside the next try."""
    log, script = tmp_path / 'log', tmp_path / 'long.py'
    script.write_text('import os, time; print(os.getpid()); time.sleep(99)')

    def run():
        start_child([sys.executable, str(script)], log).join()

    process = get_context('fork').Process(target=run)
    process.start()
    wait_until(lambda: log.is_file() and log.read_text().endswith('\n'))
    process.kill()
    process.join()
    wait_until(lambda: not is_running(int(log.read_text())))


def wait_until(condition):
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.02)
    raise TimeoutError


def is_running(pid):
    """Whether a process is there and no mere entry that its parent has not read yet."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False
