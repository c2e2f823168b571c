"""The tools and commands answer ``--help`` before anything large is imported."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from semples_mmseg.cli.main import COMMANDS, main
from semples_mmseg.prepare.coco import SPLITS
from semples_mmseg.weights import KINDS

TOOLS = Path(__file__).parents[2] / 'tools'
NAMES = [run.__name__.removesuffix('_') for run in COMMANDS]
HEAVY = ('torch', 'mmengine', 'mmseg', 'matplotlib', 'numpy')
PROGRAMS = {
    **{str(path.relative_to(TOOLS)): [str(path)] for path in sorted(TOOLS.rglob('*.py'))},
    **{f'semples-mmseg {name}': ['semples-mmseg', name] for name in NAMES},
    'semples-mmseg': ['semples-mmseg'],
}
# One process: what a program imports stays, and the next ones are not looked at any more.
HELP = f"""
import contextlib, io, json, runpy, sys
found = dict()
for name, words in json.loads(sys.argv[1]).items():
    sys.argv = [*words, '--help']
    with contextlib.redirect_stdout(io.StringIO()) as text:
        try:
            if words[0] == 'semples-mmseg':
                runpy.run_module('semples_mmseg', run_name='__main__')
            else:
                runpy.run_path(words[0], run_name='__main__')
        except SystemExit as end:
            code = end.code
    heavy = [module for module in {HEAVY} if module in sys.modules]
    found[name] = [code, 'usage:' in text.getvalue(), heavy]
    if heavy:
        break
print(json.dumps(found))
"""


def test_help_imports_nothing_heavy():
    words = [sys.executable, '-W', 'ignore', '-c', HELP, json.dumps(PROGRAMS)]
    result = subprocess.run(words, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    assert found == {name: [0, True, []] for name in PROGRAMS}


def test_choices_of_the_tools_are_those_of_the_package():
    coco = runpy.run_path(str(TOOLS / 'dataset_converters' / 'coco14.py'))
    convert = runpy.run_path(str(TOOLS / 'model_converters' / 'convert_weights.py'))
    assert tuple(coco['SPLITS']) == tuple(SPLITS)
    assert convert['KINDS'] == KINDS


def test_an_unknown_command_ends_with_the_known_ones(capsys):
    with pytest.raises(SystemExit) as end:
        main(['segment'])
    assert end.value.code == 2 and 'doctor' in capsys.readouterr().err


def test_doctor_reports_the_packages(capsys):
    with pytest.raises(SystemExit) as end:
        main(['doctor'])
    assert end.value.code == 0
    assert 'OpenMMLab packages: fit together' in capsys.readouterr().out


def test_every_tool_ends_by_exit_codes():
    end = "if __name__ == '__main__':\n    with exit_codes():\n        main()\n"
    for path in TOOLS.rglob('*.py'):
        assert path.read_text(encoding='utf-8').endswith(end), path
