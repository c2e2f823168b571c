"""The tools answer ``--help`` and wrong arguments before anything large is imported."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from semples_mmseg.prepare.coco import SPLITS
from semples_mmseg.weights import KINDS

TOOLS = Path(__file__).parents[2] / 'tools'
HEAVY = ('torch', 'mmengine', 'mmseg', 'matplotlib', 'numpy')


@pytest.mark.parametrize(
    'tool', sorted(TOOLS.rglob('*.py')), ids=lambda path: str(path.relative_to(TOOLS))
)
def test_help_imports_nothing_heavy(tool):
    code = (
        'import runpy, sys\n'
        f'sys.argv = [{str(tool)!r}, "--help"]\n'
        'try:\n'
        '    runpy.run_path(sys.argv[0], run_name="__main__")\n'
        'except SystemExit as end:\n'
        f'    print(end.code, [name for name in {HEAVY} if name in sys.modules])\n'
    )
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == '0 []', result.stderr
    assert 'usage:' in result.stdout


def test_choices_of_the_tools_are_those_of_the_package():
    coco = runpy.run_path(str(TOOLS / 'dataset_converters' / 'coco14.py'))
    convert = runpy.run_path(str(TOOLS / 'model_converters' / 'convert_weights.py'))
    assert tuple(coco['SPLITS']) == tuple(SPLITS)
    assert convert['KINDS'] == KINDS
