"""What the wheel holds, and that configs are found there and in a copy of the sources."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ('semples_mmseg', 'configs', 'tools')
FILES = ('pyproject.toml', 'README.md', 'LICENSE', 'model-index.yml')
BUILD = "from setuptools import build_meta; build_meta.build_wheel('dist')"


@pytest.fixture(scope='module')
def checkout(tmp_path_factory):
    """A copy of the sources in which the wheel was built."""
    folder = tmp_path_factory.mktemp('checkout')
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, symlinks=True)
    for name in FILES:
        shutil.copy(ROOT / name, folder)
    done = subprocess.run([sys.executable, '-c', BUILD], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob('*') if path.is_file()}


def test_the_wheel_holds_models_configs_and_tools(checkout):
    (wheel,) = (checkout / 'dist').glob('*.whl')
    names = set(zipfile.ZipFile(wheel).namelist())
    for shared in ('configs', 'tools'):
        assert {f'semples_mmseg/.mim/{shared}/{name}' for name in files(ROOT / shared)
                if '__pycache__' not in name} <= names  # fmt: skip
    assert 'semples_mmseg/.mim/model-index.yml' in names
    for shipped in ('semples_mmseg/demo/models', 'semples_mmseg/models/small_clip'):
        models = [path.name for path in (ROOT / shipped).iterdir()]
        assert models and {f'{shipped}/{name}' for name in models} <= names
    assert 'semples_mmseg/py.typed' in names
    assert not any('__pycache__' in name for name in names)
    top = {name.split('/')[0] for name in names if '.dist-info' not in name}
    assert top == {'semples_mmseg'}


USE = """
import runpy
import sys
from pathlib import Path
import semples_mmseg
from mmengine.config import Config
print([stage.name for stage in Config.fromfile('ours.py').stages])
print(Config.fromfile('theirs.py').default_scope)
print(semples_mmseg.__file__)
from semples_mmseg.runs.recipe import read_recipe
steps = [step for step in read_recipe('demo', 'work').steps if step.config]
print(*{step.command()[0] for step in steps}, *{step.config_file for step in steps})
if len(sys.argv) > 1:
    sys.argv.insert(1, str(next(Path(semples_mmseg.__file__).parent.rglob('demo_refine.py'))))
    runpy.run_path(steps[0].command()[0], run_name='__main__')
from semples_mmseg.cli.main import main
main(['demo', '--dry-run'])
"""
# An epoch of stage 0 on a few drawn scenes, as with `mim train semples_mmseg demo_refine.py ...`.
TRAIN = ['--launcher', 'none', '--stage', 'classify', '--work-dir', '../work', '--cfg-options']
TRAIN += [
    'stages.0.epochs=1',
    'stages.0.batch_size=4',
    'val_dataloader=None',
    'val_cfg=None',
    'val_evaluator=None',
]
TRAIN += [f'train_dataloader.dataset.{key}' for key in ('data_root=../data', 'num_train=8')]


@pytest.mark.parametrize('source', ['wheel', 'sources'])
def test_configs_and_the_demo_are_found(source, checkout, tmp_path):
    """In a process that knows this copy alone, in a folder without tools and configs."""
    site = checkout
    if source == 'wheel':
        site = tmp_path / 'site'
        (wheel,) = (checkout / 'dist').glob('*.whl')
        zipfile.ZipFile(wheel).extractall(site)
    folder = tmp_path / 'folder'
    folder.mkdir()
    (folder / 'ours.py').write_text("_base_ = 'semples_mmseg::semples/voc_refine.py'\n")
    (folder / 'theirs.py').write_text("_base_ = 'mmseg::_base_/default_runtime.py'\n")
    result = subprocess.run(
        [sys.executable, '-W', 'default', '-c', USE, *(TRAIN if source == 'wheel' else ())],
        cwd=folder,
        env=os.environ | {'PYTHONPATH': str(site), 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    stages, scope, file, paths, *plan = result.stdout.splitlines()  # importing prints nothing
    assert stages == "['match', 'prompt', 'refine']" and scope == 'mmseg'
    assert 'Fail to import' not in result.stderr
    assert len(paths.split()) == 5
    for path in (file, *paths.split()):
        assert Path(path).is_relative_to(site) and Path(path).is_file()
    assert 'Segmenter training' in '\n'.join(plan)
    assert {path.name for path in folder.iterdir()} == {'ours.py', 'theirs.py'}
    assert source == 'sources' or (tmp_path / 'work' / 'classify.pth').is_file()


def test_mim_lists_searches_and_runs(checkout, tmp_path):
    pytest.importorskip('mim', reason='openmim', exc_type=ImportError)
    (wheel,) = (checkout / 'dist').glob('*.whl')
    zipfile.ZipFile(wheel).extractall(tmp_path)
    use = (
        'from mim.commands.run import run; from mim.commands.search import get_model_info;'
        "print(*get_model_info('semples_mmseg', local=True).index);"
        "run('semples_mmseg', 'train', True, ('--help',));"
        f'from mim.commands.train import train; train("semples_mmseg", "demo_refine.py", 0,'
        f'other_args={TRAIN[2:]})'
    )
    result = subprocess.run(
        [sys.executable, '-c', use],
        cwd=tmp_path,
        env=os.environ | {'PYTHONPATH': str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert 'voc_refine' in result.stdout and '--cfg-options' in result.stdout
    assert (tmp_path.parent / 'work' / 'classify.pth').is_file()
