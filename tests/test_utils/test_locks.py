"""A folder is held by one run, and free when that run ends or is killed."""

import subprocess
import sys
from pathlib import Path

import pytest

from semples_mmseg.utils.errors import Refusal
from semples_mmseg.utils.io import folder_lock

HOLD = """
import os, sys
from filelock import FileLock
with FileLock(sys.argv[1] + '/.lock', timeout=0):
    if not os.fork():  # this one outlives it, as the worker of a killed run may
        print('held', flush=True)
    sys.stdin.read()
    os._exit(0)
"""


@pytest.fixture
def held(tmp_path):
    """A process that holds a folder until its input ends."""
    process = subprocess.Popen(
        [sys.executable, '-c', HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b'held\n'
    yield process
    process.kill()
    process.communicate()


def test_a_folder_is_refused_until_the_other_process_is_killed(tmp_path, held):
    with pytest.raises(Refusal, match=str(tmp_path)), folder_lock(tmp_path):
        pass
    held.kill()
    held.wait()
    with folder_lock(tmp_path):
        pass


def test_only_the_first_process_of_a_job_locks(tmp_path, held, monkeypatch):
    monkeypatch.setenv('RANK', '1')
    with folder_lock(tmp_path):
        pass


def test_a_process_may_hold_a_folder_twice(tmp_path):
    with folder_lock(tmp_path / 'new'):
        with folder_lock(Path(tmp_path) / 'new' / '.'):
            pass
        again = [sys.executable, '-c', HOLD, str(tmp_path / 'new')]
        refused = subprocess.run(again, capture_output=True, text=True, check=False)
        assert 'Timeout' in refused.stderr


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / 'thesis').write_text('mine')
    (tmp_path / '.lock').symlink_to('thesis')
    with pytest.raises(OSError, match=r'\.lock'), folder_lock(tmp_path):
        pass
    assert (tmp_path / 'thesis').read_text() == 'mine'
