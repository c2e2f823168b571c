"""Steps: skipped when complete by content, resumed when broken off, errors."""

import dataclasses
import io
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from semples_mmseg.runs import child
from semples_mmseg.runs.steps import Step, run_steps
from semples_mmseg.runs.time_left import TimeLeft, logged_eta
from semples_mmseg.utils import atomic_write


@pytest.fixture
def make_step(tmp_path):
    """Return a function that makes a step which copies a file and counts its runs."""
    script = tmp_path / 'copy.py'
    script.write_text(
        'import sys, pathlib\n'
        'source, target, log, *rest = sys.argv[1:]\n'
        'with open(log, "a") as file: file.write(" ".join(["run", *rest]) + "\\n")\n'
        'text = pathlib.Path(source).read_text()\n'
        'if text == "bad": sys.exit(print("bad source") or 3)\n'
        'if text != "lazy": pathlib.Path(target).write_text(text)\n'
    )
    source, target, log = (tmp_path / name for name in ('source', 'target', 'log'))
    source.write_text('one')

    def make():
        return Step(
            'copy',
            (str(script), str(source), str(target), str(log)),
            inputs=(source,),
            outputs=(target,),
            resume=('--resume',),
        )

    return make, source, target, log


def quiet() -> Console:
    return Console(file=open('/dev/null', 'w'))  # noqa: SIM115


def test_a_complete_step_is_skipped_until_content_changes(make_step, tmp_path):
    make, source, target, log = make_step
    run = lambda: run_steps([make()], tmp_path / 'record', quiet())  # noqa: E731
    run()
    run()
    assert log.read_text().splitlines() == ['run']
    source.write_text('two')
    run()
    assert target.read_text() == 'two' and len(log.read_text().splitlines()) == 2
    target.write_text('damaged')
    run()
    assert target.read_text() == 'two' and len(log.read_text().splitlines()) == 3


def test_a_step_whose_input_changed_while_it_ran_is_not_complete(make_step, tmp_path):
    make, source, _, log = make_step
    step = make()
    changing = Path(step.command[0])
    changing.write_text(changing.read_text() + 'pathlib.Path(source).write_text("two")\n')
    for _ in range(3):
        run_steps([step], tmp_path / 'record', quiet())
    assert log.read_text().splitlines() == ['run'] * 2


def test_settings_of_the_config_decide_and_comments_do_not(make_step, tmp_path):
    make, _, _, log = make_step
    base, config = tmp_path / 'base.py', tmp_path / 'config.py'
    base.write_text('rate = 1\n')
    config.write_text("_base_ = 'base.py'\n")

    def runs():
        step = dataclasses.replace(make(), config=config)
        run_steps([step], tmp_path / 'record', quiet())
        return len(log.read_text().splitlines())

    assert [runs(), runs()] == [1, 1]
    config.write_text("# why\n_base_ = 'base.py'\n")
    assert runs() == 1
    base.write_text('rate = 2\n')
    assert runs() == 2


def test_a_step_that_was_broken_off_is_resumed(make_step, tmp_path):
    make, source, _, log = make_step
    source.write_text('bad')
    for _ in range(2):
        with pytest.raises(
            RuntimeError, match=r"(?s)'copy'.*exit code 3.*01-copy\.log.*bad source"
        ):
            run_steps([make()], tmp_path / 'record', quiet())
    assert log.read_text().splitlines() == ['run', 'run --resume']


def test_what_an_older_run_has_left_is_not_resumed(make_step, tmp_path):
    """A try that was broken off counts only if it has left something of its own."""
    make, source, _, log = make_step
    last = tmp_path / 'last_checkpoint'
    last.write_text('of an older run')
    source.write_text('bad')

    def tries():
        with pytest.raises(RuntimeError, match='failed with exit code 3'):
            step = dataclasses.replace(make(), resume_from=last)
            run_steps([step], tmp_path / 'record', quiet())
        return log.read_text().splitlines()[-1]

    assert [tries(), tries()] == ['run', 'run']
    with atomic_write(last) as file:
        file.write('of an older run')  # the same text, but written again
    assert [tries(), tries()] == ['run --resume'] * 2
    last.unlink()
    assert tries() == 'run --resume'  # what is missing is for the command to say


@pytest.mark.skipif(sys.platform != 'linux', reason='only Linux ends children with their parent')
def test_a_step_ends_with_the_pipeline_that_was_killed(tmp_path):
    """Else it would work on beside the next try."""
    pid = tmp_path / 'pid'
    script = tmp_path / 'long.py'
    script.write_text(
        'import os, pathlib, time\n'
        f'pathlib.Path({str(tmp_path / "part")!r}).write_text(str(os.getpid()))\n'
        f'os.rename({str(tmp_path / "part")!r}, {str(pid)!r})\n'
        'time.sleep(100)\n'
    )
    code = f'import sys; sys.path.insert(0, {str(Path(child.__file__).parent)!r})\n'
    code += f'from child import start_child; start_child([sys.executable, {str(script)!r}]).wait()'
    pipeline = subprocess.Popen([sys.executable, '-c', code])
    wait_until(pid.exists)
    pipeline.kill()
    pipeline.wait()
    wait_until(lambda: not is_running(int(pid.read_text())))


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


def test_a_step_must_leave_its_output(make_step, tmp_path):
    make, source, _, _ = make_step
    source.write_text('lazy')
    with pytest.raises(RuntimeError, match="'copy' did not write .*target"):
        run_steps([make()], tmp_path / 'record', quiet())


def test_a_folder_counts_by_its_files(tmp_path):
    folder = tmp_path / 'folder'
    code = f'import pathlib; p = pathlib.Path({str(folder)!r}); p.mkdir(exist_ok=True); '
    code += '(p / "a").write_text("x")'
    script = tmp_path / 'make.py'
    script.write_text(code)
    step = Step('make', (str(script),), (), (folder,))
    run_steps([step], tmp_path, quiet())
    (folder / 'a').unlink()
    run_steps([step], tmp_path, quiet())
    assert (folder / 'a').exists()


@pytest.mark.parametrize('verbose', [False, True])
def test_output_goes_to_a_log_and_is_shown_on_request(tmp_path, verbose):
    script = tmp_path / 'talk.py'
    script.write_text('import sys; print("one"); print("two", file=sys.stderr)')
    step = Step('Talk (loud)', (str(script),), (), (script,))
    console = Console(record=True, width=200)
    run_steps([step], tmp_path, console, verbose=verbose)
    lines = (tmp_path / 'logs/01-talk-loud.log').read_text().split()
    assert sorted(lines) == ['one', 'two']
    text = console.export_text()
    assert ('one' in text and 'two' in text) == verbose
    assert text.count('[1/1] Talk (loud)') == 2


def test_a_terminal_sees_the_step_and_the_time_left_of_all(tmp_path):
    script = tmp_path / 'work.py'
    script.write_text('import time; print("eta: 0:10:00", flush=True); time.sleep(0.5)')
    steps = [Step(name, (str(script),), (), (script,), length=3) for name in ('one', 'two')]
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=120)
    run_steps(steps, tmp_path / 'known', terminal)
    shown = screen.getvalue()
    # the first step says ten minutes, so the second is as long; nothing is left after it
    assert re.search(r'\[1/2\] one .* 0:(20:0[01]|19:5\d) left', shown)
    assert re.search(r'\[2/2\] two .* 0:(10:00|09:5\d) left', shown)
    run_steps([Step('one', (str(script),), (), (script,))], tmp_path / 'unknown', terminal)
    assert 'left in this step' in screen.getvalue()


def test_steps_that_end_correct_the_time_left():
    times = TimeLeft([10, 30, 60])
    assert times.seconds(0, 2.0, None) is None
    assert times.seconds(0, 2.0, 8.0) == 8 + 90
    times.finish(0, 20.0)  # twice as long as thought
    assert times.seconds(1, 5.0, None) == 55 + 120
    assert times.seconds(1, 5.0, 25.0) == pytest.approx(25 + 50 / 40 * 60)
    assert times.seconds(2, 0.0, 7.0) == 7


def test_the_time_left_is_read_from_a_log():
    assert logged_eta('eta: 0:00:09\n... eta: 1 day, 2:03:04  time') == 93784
    assert logged_eta('no time') is None
