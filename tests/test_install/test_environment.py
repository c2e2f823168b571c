"""Which combinations of OpenMMLab packages are accepted, and what the message says otherwise."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from semples_mmseg import environment
from semples_mmseg.environment import MODULES, STACKS, find_problem

ROOT = Path(__file__).parents[2]
ONEDL = {names[0]: '1.4.2' for names in STACKS['onedl'].values()}
OFFICIAL = {names[0]: '1.2.2' for names in STACKS['openmmlab'].values()}


def without(versions, *names):
    return {name: version for name, version in versions.items() if name not in names}


@pytest.mark.parametrize('versions', [ONEDL, OFFICIAL, {}])
def test_one_complete_stack_is_accepted(versions):
    # Without any distribution: copies of the sources, on PYTHONPATH.
    assert find_problem(versions, MODULES) is None


@pytest.mark.parametrize(
    ('versions', 'named'),
    [
        (ONEDL | OFFICIAL, 'onedl-mmsegmentation and mmsegmentation'),
        (ONEDL | {'mmengine': '0.10.7'}, 'onedl-mmengine and mmengine'),
        (OFFICIAL | {'mmcv-lite': '2.1.0'}, 'mmcv and mmcv-lite'),
        (without(ONEDL, 'onedl-mmcv') | {'mmcv': '2.1.0'}, 'mmcv 2.1.0'),
    ],
)
def test_two_owners_of_a_module_and_mixed_stacks_are_refused(versions, named):
    problem = find_problem(versions, MODULES)
    assert named in problem
    (uninstall,) = re.findall(r'pip uninstall -y (.*)', problem)
    assert set(uninstall.split()) == set(versions)
    assert 'pip install' in problem.splitlines()[-1] and 'onedl' in problem.splitlines()[-1]


def test_mmcv_without_operators_is_refused():
    problem = find_problem(without(OFFICIAL, 'mmcv') | {'mmcv-lite': '2.1.0'}, MODULES)
    assert 'which mmcv-lite lacks' in problem and 'MMCV_WITH_OPS=1' in problem.splitlines()[-1]


def test_what_is_missing_is_completed_from_the_stack_that_is_there(monkeypatch):
    monkeypatch.setattr(environment.importlib.metadata, 'requires', requirements)
    problem = find_problem({}, set())
    assert all(module in problem for module in MODULES)
    assert problem.endswith("pip install 'onedl-mmengine>=0.10.12' onedl-mmcv")
    problem = find_problem(without(OFFICIAL, 'mmpretrain'), set(MODULES) - {'mmpretrain'})
    assert problem.startswith('mmpretrain is not installed')
    assert problem.endswith("pip install 'mmcv<2.2,>=2.0'")


def requirements(name):
    """What importlib.metadata gives of this package."""
    assert name == 'semples-mmseg'
    return [
        'torch>=2.6',
        'onedl-mmengine>=0.10.12; extra == "onedl"',
        'onedl-mmcv; extra == "onedl"',
        'mmcv<2.2,>=2.0; extra == "openmmlab"',
    ]


def test_files_that_an_uninstalled_package_took_along_are_installed_again():
    problem = find_problem(ONEDL, set(MODULES) - {'mmseg'})
    assert 'onedl-mmsegmentation' in problem.splitlines()[0]
    assert '--force-reinstall' in problem and '"onedl-mmengine==1.4.2"' in problem


def test_the_extras_install_what_the_check_looks_for():
    tomllib = pytest.importorskip('tomllib', reason='Python 3.11')
    extras = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    for stack, owners in STACKS.items():
        lines = extras['optional-dependencies'][stack]
        required = {re.split('[<>=]', line)[0] for line in lines} - {'setuptools'}
        assert required == {names[0] for names in owners.values()}
    every = ' '.join(extras['dependencies'])
    assert not any(name in every for name in (*ONEDL, *OFFICIAL))


def test_an_import_beside_both_stacks_ends_with_the_command_that_mends_it(tmp_path):
    """Another mmengine is recorded as installed; nothing heavy is imported before the check."""
    for name in ('mmengine', 'onedl-mmengine'):
        folder = tmp_path / f'{name.replace("-", "_")}-0.10.7.dist-info'
        folder.mkdir()
        (folder / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: 0.10.7\n')
        (folder / 'RECORD').write_text('mmengine/__init__.py,,\nmmengine/version.py,,\n')
    path = os.pathsep.join([str(tmp_path), str(ROOT)])

    def python(*arguments):
        return subprocess.run(
            [sys.executable, *arguments],
            env=os.environ | {'PYTHONPATH': path},
            capture_output=True,
            text=True,
        )

    result = python('-c', 'import semples_mmseg')
    assert result.returncode == 1
    assert 'these packages overwrite' in result.stderr
    assert 'pip uninstall -y' in result.stderr
    report = python('-m', 'semples_mmseg', 'doctor')
    assert report.returncode == 1 and report.stderr == ''
    assert 'error: these packages overwrite' in report.stdout and 'torch ' in report.stdout


def test_a_machine_without_pytorch_is_checked_for_predictions(monkeypatch):
    there = dict.fromkeys(environment._PREDICTING, '1.0')
    monkeypatch.setattr(environment, 'installed', dict)
    monkeypatch.setattr(environment, '_versions', lambda names: there)
    monkeypatch.setattr(environment.importlib.util, 'find_spec', lambda name: None)
    text, problem = environment.report()
    assert problem is None and 'ready for predictions' in text
    del there['rich'], there['onnxruntime']
    assert environment.report()[1].endswith('pip install rich onnxruntime')


def test_quiet_imports_keep_other_output(capsys):
    with environment.quiet_imports():
        print('Could not import OneDL')
        print('a message of somebody else')
    assert capsys.readouterr().out == 'a message of somebody else\n'


def test_configs_import_after_their_base():
    """The official MMEngine takes a config for one of its other kind otherwise."""
    for path in (ROOT / 'configs').rglob('*.py'):
        lines = path.read_text().splitlines()
        imports = [at for at, line in enumerate(lines) if line.startswith(('import ', 'from '))]
        bases = [at for at, line in enumerate(lines) if line.startswith('_base_ = ')]
        assert not imports or (bases and bases[0] < imports[0]), path
