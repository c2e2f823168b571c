"""``tools/run_pipeline.py``: options of each pipeline, plans."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from run_tool import run_tool

import semples_mmseg


@pytest.mark.parametrize(
    'arguments',
    [('demo', '--gpus', '2'), ('demo', '--weaktr-options', 'a=1'), ('coco14', '--sbd', 'folder')],
)
def test_options_of_another_pipeline_are_refused(arguments, capsys):
    assert run_tool('run_pipeline.py', *arguments) == 2
    assert arguments[1] in capsys.readouterr().err


def test_the_plan_of_the_demo_runs_nothing(tmp_path, capsys):
    folders = [tmp_path / 'my work', tmp_path / 'my data']
    given = ('--work-dir', folders[0], '--data-root', folders[1], '--dry-run')
    assert run_tool('run_pipeline.py', 'demo', *given) == 0
    text = capsys.readouterr().out
    assert 'SemPLeS training' in text and 'Segmenter training' in text
    assert not any(tmp_path.iterdir())


def test_a_folder_in_use_is_refused(tmp_path):
    """A second pipeline would interleave its checkpoints with those of the first."""
    code = (
        'import sys; from semples_mmseg.utils.locks import folder_lock\n'
        'with folder_lock(sys.argv[1]): print("locked", flush=True); sys.stdin.read()'
    )
    command = [sys.executable, '-c', code, str(tmp_path)]
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    given = ('demo', '--work-dir', tmp_path, '--data-root', tmp_path / 'data')
    with subprocess.Popen(command, **pipes) as process:
        try:
            assert process.stdout.readline().strip().endswith(b'locked')
            with pytest.raises(ValueError, match=str(tmp_path)):
                run_tool('run_pipeline.py', *given)
        finally:
            process.kill()
    assert not (tmp_path / 'pipeline.json').exists()


def test_the_package_does_not_import_the_demo():
    package = Path(semples_mmseg.__file__).parent
    for path in package.rglob('*.py'):
        if path.is_relative_to(package / 'demo') or path == package / 'cli' / 'pipelines.py':
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.ImportFrom):
                assert 'demo' not in (node.module or '').split('.'), path
            if isinstance(node, ast.Import):
                assert not any('demo' in name.name.split('.') for name in node.names), path
