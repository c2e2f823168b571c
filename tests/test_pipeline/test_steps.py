"""Steps: skipped when complete by content, resumed when broken off, errors."""

import dataclasses

import pytest
from rich.console import Console

from semples_mmseg.pipeline import Step, run_steps


@pytest.fixture
def make_step(tmp_path):
    """Return a function that makes a step which copies a file and counts its runs."""
    script = tmp_path / 'copy.py'
    script.write_text(
        'import sys, pathlib\n'
        'source, target, log, *rest = sys.argv[1:]\n'
        'with open(log, "a") as file: file.write(" ".join(["run", *rest]) + "\\n")\n'
        'text = pathlib.Path(source).read_text()\n'
        'if text == "bad": sys.exit(3)\n'
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
            seconds=1,
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
        with pytest.raises(RuntimeError, match="step 'copy' failed with exit code 3"):
            run_steps([make()], tmp_path / 'record', quiet())
    assert log.read_text().splitlines() == ['run', 'run --resume']


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
