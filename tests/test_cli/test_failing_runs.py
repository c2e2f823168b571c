"""Real runs of tools/train.py that fail: the message, the exit code, and what is left.

Each runs in a fork of this process; a full file system is mounted there, for it alone, which takes
the rights to do so.
"""

import ctypes
import multiprocessing
import os
import runpy
import signal
import sys
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from mmseg.registry import HOOKS
from processes import draw_images, write_config

TRAIN = Path(__file__).parents[2] / 'tools' / 'train.py'
STAGES = [dict(name='match', epochs=1, batch_size=4), dict(name='refine', epochs=1, batch_size=4)]
SHARED = Path('/dev/shm')
LIBC = ctypes.CDLL(None, use_errno=True)
PRIVATE, RECURSIVE, NEW_NAMESPACE = 1 << 18, 1 << 14, 1 << 17


def mount(source, target, kind='', flags=0, options=''):
    """mount(2)."""
    words = (str(source), str(target), kind)
    if LIBC.mount(*(word.encode() for word in words), flags, options.encode()):
        raise OSError(ctypes.get_errno(), 'mount')


def own_mounts():
    """Mounts made from now on are of this process and its children."""
    if LIBC.unshare(NEW_NAMESPACE):
        raise OSError(ctypes.get_errno(), 'unshare')
    mount('none', '/', flags=PRIVATE | RECURSIVE)


def fill(folder):
    """Leave 20 KiB on the file system of a folder."""
    with open(folder / 'filler', 'wb') as file:
        file.write(bytes(max(os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize - 20480, 0)))


def kill_worker():
    """What the kernel does when there is no memory left; nothing is lost if all is handed over."""
    pid = multiprocessing.active_children()[0].pid
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # until it is dead


@HOOKS.register_module(force=True)
class Trouble(Hook):
    """Something goes wrong in the second stage, after the first is saved."""

    def __init__(self, kind):
        self.kind = kind

    def before_train_epoch(self, runner):
        if self.kind == 'shared' and runner.epoch == 1:
            fill(SHARED)

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.epoch != 1:
            return
        folder = Path(runner.work_dir)
        if self.kind == 'worker':
            kill_worker()
        if self.kind == 'SIGTERM':
            os.kill(os.getpid(), signal.SIGTERM)
        if self.kind == 'full':
            fill(folder)


def train(config, run, kind, *options):
    """tools/train.py; then what it has left is looked at where it is."""
    if kind in ('full', 'shared'):
        own_mounts()
        mount('tmpfs', run if kind == 'full' else SHARED, 'tmpfs', options='size=17m')
    workers = int(kind in ('worker', 'photo', 'shared'))
    sys.argv = ['train.py', str(config), '--work-dir', str(run), '--cfg-options']
    sys.argv += [f'train_dataloader.num_workers={workers}', *options]
    try:
        runpy.run_path(str(TRAIN), run_name='__main__')
    finally:
        last = run / 'last_checkpoint'
        epoch = None
        if last.exists():
            epoch = torch.load(last.read_text(), weights_only=False)['meta']['epoch']
        print(f'good to epoch {epoch}', file=sys.stderr, flush=True)


def forked(path, function, *arguments):
    """Exit code and standard error of a function in a fork."""

    def run():
        with open(path, 'w') as file:
            os.dup2(file.fileno(), 2)
            sys.stderr = open(2, 'w', buffering=1, closefd=False)  # noqa: SIM115
            torch.set_num_threads(1)
            function(*arguments)

    child = multiprocessing.get_context('fork').Process(target=run)
    child.start()
    child.join(300)
    child.kill()
    return child.exitcode, path.read_text()


@pytest.fixture
def start(tmp_path):
    """Return a function that runs a training with a trouble: exit code and standard error."""

    def run(kind, *options):
        draw_images(tmp_path / 'data', 4)
        (tmp_path / 'run').mkdir()
        if kind == 'photo':
            (tmp_path / 'data/images/img02.png').write_bytes(b'half of a photo')
        hook = dict(type='Trouble', kind=kind)
        config = write_config(tmp_path, tmp_path / 'data', STAGES, [hook])
        return forked(tmp_path / 'stderr', train, config, tmp_path / 'run', kind, *options)

    return run


@pytest.mark.parametrize(
    ('kind', 'code', 'words'),
    [
        ('worker', 1, 'error: a worker of a data loader was killed.'),
        ('SIGTERM', 143, 'stopped: by SIGTERM.'),
        ('full', 1, 'epoch_2.pth: the disk is full'),
        ('shared', 1, 'error: the workers of a data loader have no room left in shared memory'),
    ],
)
def test_a_failure_says_what_to_do_and_leaves_the_last_checkpoint(start, kind, code, words):
    if kind in ('full', 'shared') and forked(Path(os.devnull), own_mounts)[0]:
        pytest.skip('mounting takes rights that these tests do not have')
    got, text = start(kind)
    assert got == code, text
    assert words in text and '--resume' in text, text
    assert text.endswith('good to epoch 1\n'), text[-500:]


@pytest.mark.parametrize('loader', ['LoadCheckedImage', 'LoadImageFromFile'])
def test_a_damaged_photo_read_by_a_worker_is_one_line(start, loader):
    code, text = start('photo', f'train_dataloader.dataset.pipeline.0.type={loader}')
    assert code == 2 and 'Traceback' not in text, text
    (line,) = [line for line in text.splitlines() if line.startswith('error: ')]
    assert 'img02.png' in line


def test_a_hook_and_the_validation_are_left_out_by_none(start):
    """As messages advise."""
    none = ['val_dataloader', 'val_cfg', 'val_evaluator']
    options = [f'{name}=None' for name in ('default_hooks.finite_steps', *none)]
    code, text = start('', '+default_hooks.finite_steps.type=FiniteStepHook', *options)
    assert code == 0 and text.endswith('good to epoch 2\n'), text
