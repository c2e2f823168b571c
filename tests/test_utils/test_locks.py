"""A folder is held by one run, and free when that run ends or is killed."""

import os
import subprocess
import sys
from errno import EACCES
from pathlib import Path
from types import SimpleNamespace

import pytest

from semples_mmseg.utils import locks
from semples_mmseg.utils.locks import folder_lock
from semples_mmseg.utils.shards import Shard

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


@pytest.fixture
def windows(monkeypatch):
    """The lock of Windows: bytes from the place in the file on, without any that are shared."""
    locked = set()

    def locking(file, mode, length):
        start = os.lseek(file, 0, os.SEEK_CUR)
        wanted = {*range(start, start + length)}
        if mode == 'unlock':
            assert wanted <= locked
            locked.difference_update(wanted)
        elif wanted & locked:
            raise OSError(EACCES, 'Permission denied')
        else:
            locked.update(wanted)

    stub = SimpleNamespace(locking=locking, LK_NBLCK='lock', LK_UNLCK='unlock')
    monkeypatch.setattr(locks, 'fcntl', None)
    monkeypatch.setattr(locks, 'msvcrt', stub, raising=False)
    yield
    assert not locked


def test_windows(tmp_path, windows, monkeypatch):
    refused = pytest.raises(ValueError, match=f'process {os.getpid()} began last')
    with folder_lock(tmp_path):
        monkeypatch.setattr(locks, '_held', set())  # as in another process
        for shard in (None, Shard(1, 2)):
            with refused, folder_lock(tmp_path, shard):
                pass
    with folder_lock(tmp_path, Shard(1, 2)):
        monkeypatch.setattr(locks, '_held', set())
        with folder_lock(tmp_path, Shard(2, 2)):
            monkeypatch.setattr(locks, '_held', set())
            for shard in (None, Shard(1, 2), Shard(2, 2)):
                with refused, folder_lock(tmp_path, shard):
                    pass
    with folder_lock(tmp_path):
        pass
    with pytest.raises(ZeroDivisionError), folder_lock(tmp_path):
        raise ZeroDivisionError
