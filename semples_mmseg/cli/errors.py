"""How the command line tools end when something fails: a message with the fix, and an exit code.

=========================================== ========================== =========
what                                        what is printed            exit code
=========================================== ========================== =========
the package refuses what it was given       ``error: ...`` alone       2
the package ends a run: numbers that are    ``error: ...`` alone       1
not finite, a process of the job lost
the machine fails: disk, memory, a worker   traceback, ``error: ...``  1
Ctrl-C, SIGTERM                             ``stopped: ...`` alone     130, 143
anything else: a bug                        traceback                  1
=========================================== ========================== =========

An error is the package's if a ``raise`` of the package made it: its text was written for users.
What a library raises, or Python itself, keeps its traceback.
"""

from __future__ import annotations

import contextlib
import dis
import errno
import multiprocessing.queues
import os
import re
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn

import torch

_PACKAGE = __name__.split('.')[0]
_GO_ON = 'What was saved is whole: the same command, for training with --resume, goes on from there'
_REFUSALS = (OSError, ValueError, LookupError, ImportError, TypeError)
_GPU_MEMORY = ('CUDA out of memory', 'CUBLAS_STATUS_ALLOC_FAILED', 'CUDNN_STATUS_ALLOC_FAILED')
_HOST_MEMORY = ("can't allocate memory", 'Cannot allocate memory')
_SHARED_MEMORY = ('shared memory', 'Bus error', 'unable to write to file </torch_')
# What PyTorch makes of a write that fails.
_HALF_WRITTEN = ('PytorchStreamWriter failed', 'unexpected pos ')
_WORKER = re.compile(r'DataLoader worker \(pid.*?\) (is killed by signal: [\w ]+|exited)')


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """End the program as the table above says; for the whole work of a command line tool.

    SIGTERM, which would end it on the spot, becomes an exception as Ctrl-C is one, so that
    temporary files are removed. Not so in a job of several processes: one that waits for the
    others would not see it.

    Raises:
        SystemExit: With the exit code; its cause is the error.
    """
    try:
        with _terminable(), _workers_that_end():
            yield
    except KeyboardInterrupt as error:
        by = 'SIGTERM' if isinstance(error, _Terminated) else 'Ctrl-C'
        _end(f'stopped: by {by}. {_GO_ON}', 143 if by == 'SIGTERM' else 130, error)
    except Exception as error:
        if raised_by_package(error):
            refused = isinstance(error, _REFUSALS) and not isinstance(error, ConnectionError)
            _end(f'error: {_text(error)}', 2 if refused else 1, error)
        known = advice(error)
        if known is None:
            raise
        traceback.print_exception(error)
        _end(f'error: {known}', 1, error)


def advice(error: BaseException) -> str | None:
    """What has failed in the machine, and what to do about it.

    Args:
        error: Also one that was raised from another, or while another was handled.

    Returns:
        The message, or None for errors of other kinds.
    """
    chain = list(_chain(error))
    for known in (_of_gpu, _of_shared_memory, _of_worker, _of_memory, _of_files):
        for part in chain:
            text = known(part)
            if text is not None:
                return text
    return None


def raised_by_package(error: BaseException) -> bool:
    """Whether a ``raise`` of this package made an error."""
    last = _last_frame(error)
    if last is None or isinstance(error, AssertionError):
        return False
    instruction = last.tb_frame.f_code.co_code[last.tb_lasti]
    return _top_module(last) == _PACKAGE and instruction == dis.opmap['RAISE_VARARGS']


def _last_frame(error: BaseException) -> TracebackType | None:
    """Where an error was made."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last


def _top_module(frame: TracebackType) -> str:
    return frame.tb_frame.f_globals.get('__name__', '').split('.')[0]


class _Terminated(KeyboardInterrupt):
    """SIGTERM."""


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    alone = int(os.environ.get('WORLD_SIZE') or 1) == 1
    if not alone or threading.current_thread() is not threading.main_thread():
        yield
        return
    owner = os.getpid()

    def terminate(number: int, frame: FrameType | None) -> None:
        if os.getpid() == owner:
            raise _Terminated
        # A worker, forked from here: it ends as it would have.
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _workers_that_end() -> Iterator[None]:
    """Have loader workers end that cannot hand over what they have read.

    A thread of theirs does, and Python lets it print its error and go on without that batch, for
    which the loader then waits forever. It knows a bus error as a lack of shared memory.
    """
    queue: Any = multiprocessing.queues.Queue
    before = queue._on_queue_feeder_error

    def fail(error: BaseException, item: Any) -> None:
        before(error, item)
        if multiprocessing.parent_process() is not None and _says(error, _SHARED_MEMORY):
            os.kill(os.getpid(), signal.SIGBUS)

    queue._on_queue_feeder_error = staticmethod(fail)
    try:
        yield
    finally:
        queue._on_queue_feeder_error = staticmethod(before)


def _end(text: str, code: int, error: BaseException) -> NoReturn:
    rank = os.environ.get('RANK') if int(os.environ.get('WORLD_SIZE') or 1) > 1 else None
    print(text if rank is None else f'[process {rank}] {text}', file=sys.stderr, flush=True)
    raise SystemExit(code) from error


def _text(error: BaseException) -> str:
    """The text of an error; that of a KeyError would come in quotes."""
    return str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those behind it."""
    while error is not None:
        yield error
        hidden = None if error.__suppress_context__ else error.__context__
        error = error.__cause__ or hidden


def _of_gpu(error: BaseException) -> str | None:
    if not isinstance(error, torch.cuda.OutOfMemoryError) and not _says(error, _GPU_MEMORY):
        return None
    return (
        'the GPU is out of memory. Lower the batch size, train with --amp, let CLIP encode fewer '
        'masked images at a time (--cfg-options model.image_head.max_batch=16), or see with '
        f'nvidia-smi who else has a share of the GPU. {_GO_ON}'
    )


def _of_shared_memory(error: BaseException) -> str | None:
    last = _last_frame(error)
    # A semaphore, which is a file there whose name is not told.
    semaphore = (
        isinstance(error, OSError)
        and error.errno == errno.ENOSPC
        and last is not None
        and _top_module(last) == 'multiprocessing'
    )
    if not semaphore and not _says(error, _SHARED_MEMORY):
        return None
    free = _free('/dev/shm')
    return (
        f'the workers of a data loader have no room left in shared memory (/dev/shm{free}). Make '
        'it larger (docker run --shm-size=8g, or --ipc=host), or have fewer workers: '
        '--cfg-options train_dataloader.num_workers=1, and 0 needs none of it (the same for val, '
        f'test and pseudo_mask). {_GO_ON}'
    )


def _of_worker(error: BaseException) -> str | None:
    found = _WORKER.search(str(error)) if isinstance(error, RuntimeError) else None
    if found is None:
        return None
    what = 'ended' if found[1] == 'exited' else found[1].replace('is killed', 'was killed')
    if what in ('ended', 'was killed by signal: Killed'):
        reason = (
            'Most likely the machine, or the job, has run out of memory (see dmesg, or the '
            "scheduler's report): have fewer workers, --cfg-options train_dataloader.num_workers=1 "
            '(the same for val, test and pseudo_mask), a smaller batch, or ask for more memory'
        )
    else:
        reason = (
            'With --cfg-options train_dataloader.num_workers=0 (the same for val, test and '
            'pseudo_mask) images are read in the main process, which shows where it happens'
        )
    return f'a worker of a data loader {what}. {reason}. {_GO_ON}'


def _of_memory(error: BaseException) -> str | None:
    if not isinstance(error, MemoryError) and not _says(error, _HOST_MEMORY):
        return None
    return (
        'the machine, or the job, has no memory left. Have fewer workers (--cfg-options '
        'train_dataloader.num_workers=1; the same for val, test and pseudo_mask) or a smaller '
        f'batch, or ask for more memory. {_GO_ON}'
    )


def _of_files(error: BaseException) -> str | None:
    if _says(error, _HALF_WRITTEN):
        return _of_files(OSError(errno.ENOSPC, ''))
    if not isinstance(error, OSError):
        return None
    path: Any = error.filename
    at = '' if path is None else f' at {path}'
    elsewhere = 'choose another folder with --work-dir (results: --out)'
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = '' if path is None else _free(Path(os.fsdecode(path)).parent)
        return (
            f'the disk is full, or your share of it used up{at}{free}. Make room (fewer '
            'checkpoints are kept with --cfg-options default_hooks.checkpoint.max_keep_ckpts=1), '
            f'or {elsewhere}. {_GO_ON}'
        )
    if error.errno == errno.EFBIG:
        return (
            f'a file is larger than it may be{at}: see ulimit -f, and the limits of the file '
            f'system, or {elsewhere}. {_GO_ON}'
        )
    if error.errno == errno.EROFS:
        return f'the file system is read-only{at}: mount it to be written, or {elsewhere}. {_GO_ON}'
    if error.errno in (errno.EACCES, errno.EPERM):
        return f'you have no permission{at}: see its owner and mode (ls -l), or {elsewhere}'
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return (
            f'too many files are open{at}: raise the limit (ulimit -n 4096), or have fewer workers '
            f'(--cfg-options train_dataloader.num_workers=1). {_GO_ON}'
        )
    return None


def _says(error: BaseException, words: tuple[str, ...]) -> bool:
    """Whether PyTorch, whose errors are of few types, says one of some things."""
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


def _free(folder: str | os.PathLike) -> str:
    """How much room there is, as far as that can be known."""
    try:
        return f', {shutil.disk_usage(folder).free / 2**20:.0f} MiB free'
    except OSError:
        return ''
