"""How tools end: the words for each failure, and exit codes."""

import errno
import os
import signal
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from mmseg.registry import MODELS

from semples_mmseg.cli.errors import advice, exit_codes
from semples_mmseg.engine.finite_step_hook import FiniteStepHook
from semples_mmseg.models.stages import resolve_stage
from semples_mmseg.utils.io import check_writable
from semples_mmseg.weights import resolve

# As PyTorch words them.
BUS = (
    "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's "
    'workers are out of shared memory. Please try to raise your shared memory limit.'
)
NO_SHM = 'unable to write to file </torch_7_1_0>: No space left on device (28)'
KILLED = 'DataLoader worker (pid 7) is killed by signal: Killed. '
EXITED = 'DataLoader worker (pid(s) 7, 8) exited unexpectedly'
HALF = '[enforce fail at inline_container.cc:595] . unexpected pos 704 vs 598'
NO_RAM = (
    "[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory: you tried "
    'to allocate 8796093022208 bytes. Error code 12 (Cannot allocate memory)'
)


def system(number, path=None):
    return OSError(number, os.strerror(number), path)


@pytest.mark.parametrize(
    ('error', 'words'),
    [
        (system(errno.ENOSPC, '/tmp/x.pth'), ('/tmp/x.pth: the disk', '--out')),
        (system(errno.EDQUOT), ('share of it', '--work-dir')),
        (RuntimeError(HALF), ('the disk', '--work-dir')),
        (system(errno.EFBIG, 'x'), ('x: ', 'ulimit -f')),
        (system(errno.EROFS, 'run/x'), ('run/x: ', 'read-only', '--work-dir', '--out')),
        (PermissionError(errno.EACCES, '', 'run/x'), ('run/x: permission', 'ls -l')),
        (system(errno.EMFILE), ('too many files', 'ulimit -n')),
        (RuntimeError(BUS), ('/dev/shm', '--shm-size', 'num_workers')),
        (RuntimeError(NO_SHM), ('/dev/shm', '--shm-size', 'num_workers')),
        (RuntimeError(KILLED), ('killed', 'memory', 'num_workers=1')),
        (RuntimeError(EXITED), ('killed', 'memory', 'num_workers=1')),
        (RuntimeError(KILLED.replace('Killed', 'Segmentation fault')), ('num_workers=0',)),
        (torch.cuda.OutOfMemoryError('CUDA out of memory.'), ('GPU', '--amp', 'max_batch')),
        (RuntimeError('cuDNN error: CUDNN_STATUS_ALLOC_FAILED'), ('GPU', 'nvidia-smi')),
        (RuntimeError(NO_RAM), ('no memory left', 'num_workers')),
        (MemoryError(), ('no memory left', 'num_workers')),
    ],
)
def test_failures_of_the_machine_have_an_advice(error, words):
    text = advice(error)
    for word in words:
        assert word in text, text
    # PyTorch and pools wrap what they pass on.
    wrapped = RuntimeError('something')
    wrapped.__cause__ = error
    assert advice(wrapped) == text


@pytest.mark.parametrize(
    'error',
    [system(errno.ENOSPC), MemoryError(), *map(RuntimeError, (BUS, KILLED, 'CUDA out of memory'))],
)
def test_a_command_names_no_option_of_a_tool(error):
    text = advice(error, tool=False)
    for option in ('--work-dir', '--amp', '--cfg-options', '--resume', 'num_workers', '{'):
        assert option not in text


def test_the_signal_counts_more_than_what_came_of_it():
    error = RuntimeError(EXITED)
    error.__cause__ = RuntimeError(BUS)
    assert '/dev/shm' in advice(error)


def ended(function, capsys):
    """Exit code and standard error of a tool that does one thing."""
    with pytest.raises(SystemExit) as end, exit_codes():
        function()
    return end.value.code, capsys.readouterr().err


def test_a_refusal_is_one_line(capsys, tmp_path):
    code, text = ended(lambda: resolve_stage('match', mask_eps=-1), capsys)
    assert (code, text) == (2, "error: stage 'match': mask_eps must be positive, got -1\n")
    (tmp_path / 'file').touch()
    code, text = ended(lambda: check_writable(tmp_path / 'file'), capsys)
    assert code == 2 and text.startswith('error: the folder') and text.count('\n') == 1
    code, text = ended(lambda: resolve('\x1b]0;title\x07\x9bm'), capsys)
    assert code == 2 and '\\x1b]0;title' in text and not {'\x1b', '\x07', '\x9b'} & {*text}


def test_what_ends_a_run_is_one_line(capsys):
    bad = dict(state_dict={'head.bias': torch.tensor([np.inf])})
    runner = types.SimpleNamespace()
    code, text = ended(lambda: FiniteStepHook().before_save_checkpoint(runner, bad), capsys)
    assert code == 1 and text.startswith('error: weights are not finite') and text.count('\n') == 1


def test_a_failure_keeps_its_traceback(capsys):
    def fill():
        raise system(errno.ENOSPC, 'epoch_2.pth')

    code, text = ended(fill, capsys)
    assert code == 1 and text.startswith('Traceback') and 'in fill' in text
    assert text.splitlines()[-1].startswith('error: epoch_2.pth: the disk')


def test_a_type_that_is_not_registered_is_one_line(capsys):
    code, text = ended(lambda: MODELS.build(dict(type='Unheard')), capsys)
    assert code == 2 and text.count('\n') == 1
    assert text.startswith('error: Unheard is not in the')


@pytest.mark.parametrize(
    'bug',
    [
        lambda: resolve_stage(['match']),  # not a name: a TypeError of Python in the package
        lambda: np.zeros(2).reshape(3),
        lambda: {}['x'],
        lambda: Path('gone').read_text(encoding='utf-8'),
    ],
)
def test_bugs_are_not_hidden(bug, capsys):
    with pytest.raises(Exception) as error, exit_codes():  # noqa: PT011
        bug()
    assert not isinstance(error.value, SystemExit)
    assert capsys.readouterr().err == ''


@pytest.fixture
def ctrl_c():
    """Ctrl-C as in a terminal; a shell lets what it starts in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_and_sigterm(capsys, ctrl_c):
    for number, code, words in (
        (signal.SIGINT, 130, 'stopped: by Ctrl-C. Saved files'),
        (signal.SIGTERM, 143, 'stopped: by SIGTERM. Saved files'),
    ):
        before = signal.getsignal(signal.SIGTERM)
        got, text = ended(lambda number=number: os.kill(os.getpid(), number), capsys)
        assert got == code and text.startswith(words) and text.count('\n') == 1
        assert signal.getsignal(signal.SIGTERM) is before


def test_a_job_of_several_processes(capsys, monkeypatch):
    monkeypatch.setenv('WORLD_SIZE', '2')
    monkeypatch.setenv('RANK', '1')
    before = signal.getsignal(signal.SIGTERM)
    with exit_codes():
        assert signal.getsignal(signal.SIGTERM) is before
    assert ended(lambda: resolve_stage('none'), capsys)[1].startswith('[process 1] error: unknown')
