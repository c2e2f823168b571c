"""Puts configs and tools into the installed package as ``.mim``, where OpenMMLab's mim looks."""

import os
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent  # older setuptools give a relative path
SHARED = ('configs', 'tools', 'model-index.yml')


class BuildWithMim(build_py):
    """Copies configs and tools into a build; links them in an editable install."""

    def run(self):
        super().run()
        if self.editable_mode:
            folder = ROOT / 'semples_mmseg' / '.mim'
            folder.mkdir(exist_ok=True)
            for name in SHARED:
                # A link that is there may be of a checkout that was moved since.
                (folder / name).unlink(missing_ok=True)
                os.symlink(ROOT / name, folder / name, target_is_directory=(ROOT / name).is_dir())
            return
        folder = Path(self.build_lib) / 'semples_mmseg' / '.mim'
        for name in SHARED:
            if (ROOT / name).is_dir():
                ignored = shutil.ignore_patterns('__pycache__')
                shutil.copytree(ROOT / name, folder / name, ignore=ignored, dirs_exist_ok=True)
            else:
                shutil.copy(ROOT / name, folder / name)


setup(cmdclass=dict(build_py=BuildWithMim))
