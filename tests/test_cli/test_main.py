"""The console script as a process: its help, its exit codes, and what it does not import."""

import subprocess
import sys

import pytest

from semples_mmseg.cli.main import COMMANDS

HEAVY = ('torch', 'mmengine', 'mmseg', 'matplotlib')


def run(*arguments):
    return subprocess.run(
        [sys.executable, '-m', 'semples_mmseg', *arguments], capture_output=True, text=True
    )


@pytest.mark.parametrize('arguments', [[], *([command] for command in COMMANDS)])
def test_help_imports_nothing_heavy(arguments):
    code = (
        'import runpy, sys\n'
        f'sys.argv = ["semples-mmseg", *{arguments}, "--help"]\n'
        'try:\n'
        '    runpy.run_module("semples_mmseg", run_name="__main__")\n'
        'except SystemExit as end:\n'
        f'    print(end.code, [name for name in {HEAVY} if name in sys.modules])\n'
    )
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == '0 []', result.stderr
    assert 'usage: semples-mmseg' in result.stdout


def test_an_unknown_command_ends_with_the_known_ones():
    result = run('segment')
    assert result.returncode == 2
    assert 'doctor' in result.stderr


def test_doctor_reports_the_packages():
    result = run('doctor')
    assert result.returncode == 0
    assert 'OpenMMLab packages: fit together' in result.stdout
