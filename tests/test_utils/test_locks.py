"""A folder is held by one run, and free when that run ends or is killed."""

import subprocess
import sys
from pathlib import Path

import pytest

from semples_mmseg.utils import locks
from semples_mmseg.utils.locks import folder_lock

HOLD = """
import runpy, sys
with runpy.run_path(sys.argv[1])['folder_lock'](sys.argv[2]):
    print('held', flush=True)
    sys.stdin.read()
"""


def hold(folder):
    """A process that holds a folder until its input ends."""
    process = subprocess.Popen(
        [sys.executable, '-c', HOLD, locks.__file__, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b'held\n'
    return process


@pytest.mark.parametrize('killed', [True, False])
def test_a_folder_is_refused_while_another_process_lives(tmp_path, killed):
    folder = tmp_path / 'new'
    other = hold(folder)
    try:
        with pytest.raises(ValueError, match=f'{folder}.*process {other.pid}'), folder_lock(folder):
            pass
    finally:
        if killed:
            other.kill()
        other.communicate()
    with folder_lock(folder):
        pass


def test_a_process_may_hold_a_folder_twice(tmp_path):
    with folder_lock(tmp_path), folder_lock(Path(tmp_path) / '.'):
        pass
    assert not locks._held


def test_only_the_first_process_of_a_job_locks(tmp_path, monkeypatch):
    other = hold(tmp_path)
    try:
        monkeypatch.setenv('RANK', '1')
        with folder_lock(tmp_path):
            pass
    finally:
        other.communicate()
